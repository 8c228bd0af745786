"""What the bytes of a photo say before anything is decoded: its format, its size, and what decoding it will cost."""

from typing import Literal, NamedTuple

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"]
"""The formats that are read, as Pillow spells them."""

_LARGE_BYTES, _LARGE_SECONDS = 64_000_000, 0.25
_LINE_BYTES, _LINE_SECONDS = 40, 0.15e-6
"""For each row and each column: Pillow's pointers to the rows of all pictures, and the weights that scale them down."""
SUSPICIOUS = 0.3
"""Seconds to count for what a helper is to decode whatever its size: more than `heavy` takes."""


class Header(NamedTuple):
    """A photo's format and size, and the cost of decoding it. Sizes are as stored, before any orientation tag."""

    format: Format
    width: int
    height: int
    seconds: float
    """About how long one core takes to decode it, at most: an estimate, to tell large photos from others."""
    held: float
    """Bytes that decoding holds for each stored pixel, at most, whatever the scale that it decodes to."""
    stored: float = 3
    """Bytes of a stored pixel once decompressed: 3 for 8-bit RGB, 8 for 16-bit RGBA."""
    scalable: bool = False
    """Whether it can be decoded at 1/2, 1/4 and 1/8 of its size, which is all that is then held besides `held`."""
    scans: int = 1
    """How many times decoding goes over the whole picture: more than once for progressive JPEGs."""
    lossy_whole: bool = False
    """A JPEG whose coefficients are all held until its last scan: progressive, or with a scan for each component."""

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def bytes(self) -> int:
        """Bytes that decoding and fitting hold at most, besides a picture at reduced scale."""
        return int(self.pixels * self.held) + (self.width + self.height) * _LINE_BYTES

    @property
    def heavy(self) -> bool:
        """Whether decoding takes so long or holds so much that others should not wait beside it."""
        seconds = self.seconds + (self.width + self.height) * _LINE_SECONDS
        return self.bytes > _LARGE_BYTES or seconds > _LARGE_SECONDS
