"""What the bytes of a photo say before anything is decoded: its format, its size, and what decoding it will cost."""

import struct
from collections.abc import Callable
from importlib import import_module
from typing import Literal, NamedTuple

from foodscene.models.decoding.errors import BrokenPhoto, UnsupportedPhoto

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"]
"""The formats that are read, as Pillow spells them."""

_LARGE_BYTES, _LARGE_SECONDS = 64_000_000, 0.25


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
        """Bytes that decoding holds at most, besides a picture at reduced scale."""
        return int(self.pixels * self.held)

    @property
    def heavy(self) -> bool:
        """Whether decoding takes so long or holds so much that others should not wait beside it."""
        return self.bytes > _LARGE_BYTES or self.seconds > _LARGE_SECONDS


def inspect(photo: bytes) -> Header:
    """Read a photo's header and count the parts that would cost time, without decoding anything.

    Takes some 20 microseconds for most photos and 0.1 seconds for the worst. Raises a `PhotoError`: `UnsupportedPhoto`
    for what is of no format that is read, `BrokenPhoto` for a header that is damaged, `PhotoTooLarge` for more parts
    than any camera or program writes.
    """
    if not photo:
        raise BrokenPhoto("The upload is empty: no bytes arrived.")
    try:
        header = _inspector(photo)(photo)
    except (struct.error, IndexError, OverflowError) as error:
        raise BrokenPhoto("The image is damaged or cut short: its header ends early.") from error
    if header.width < 1 or header.height < 1:
        raise BrokenPhoto(f"The image is damaged: its header says {header.width} x {header.height} pixels.")
    return header


def _inspector(photo: bytes) -> Callable[[bytes], Header]:
    """The function that reads the header of this format, told by the first bytes."""
    if photo.startswith(b"\xff\xd8"):
        name = "jpeg"
    elif photo.startswith(b"\x89PNG\r\n\x1a\n"):
        name = "png"
    elif photo.startswith(b"RIFF") and photo[8:12] == b"WEBP":
        name = "webp"
    elif photo.startswith((b"GIF87a", b"GIF89a")):
        name = "gif"
    elif photo.startswith(b"BM"):
        name = "bmp"
    elif photo.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        name = "tiff"
    elif photo[4:8] == b"ftyp":
        name = "heif"
    else:
        raise UnsupportedPhoto(
            "This is not an image that is read here. Send a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF."
        )
    inspect_format: Callable[[bytes], Header] = import_module(f"models.decoding.{name}").inspect
    return inspect_format
