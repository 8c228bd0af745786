"""WebP: its header.

RFC 9649: a RIFF file whose first chunk is VP8 (lossy), VP8L (lossless) or VP8X, which gives the size of the canvas.
"""

from struct import unpack_from

from foodscene.models.decoding.errors import BrokenPhoto
from foodscene.models.decoding.header import Header


def inspect(photo: bytes) -> Header:
    """A WebP's header. Raises as `inspection.inspect` does."""
    kind = photo[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(photo[place : place + 3], "little") + 1 for place in (24, 27))
    elif kind == b"VP8L":
        (bits,) = unpack_from("<I", photo, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in unpack_from("<HH", photo, 26))
    else:
        raise BrokenPhoto("The image is damaged: its first part is none that a WebP begins with.")
    # The decoder holds two canvases of RGBA for animations, the bytes of one, Pillow's picture, and the file.
    held = 16 + len(photo) / max(1, width * height)
    return Header("WEBP", width, height, seconds=width * height * 70e-9 + len(photo) * 60e-9, held=held)
