"""GIF: its header, up to its first picture.

GIF89a: a screen with a palette, then blocks; the data of a block is a row of sub-blocks of up to 255 bytes.
"""

from struct import unpack_from

from foodscene.models.decoding.errors import BrokenPhoto, PhotoTooLarge
from foodscene.models.decoding.header import Header

_EXTENSION, _PICTURE = 0x21, 0x2C
_MOST_BLOCKS = 20_000
"""Sub-blocks before the first picture: enough for 5 MB of metadata."""


def inspect(photo: bytes) -> Header:
    """A GIF's header. Raises as `inspection.inspect` does."""
    width, height, flags = unpack_from("<HHB", photo, 6)
    place = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    blocks = 0
    while photo[place] != _PICTURE:
        blocks += 1
        if photo[place] == _EXTENSION:
            place += 2
            while size := photo[place]:
                place += 1 + size
                blocks += 1
                if blocks > _MOST_BLOCKS:
                    break
        elif photo[place] == 0x3B:
            raise BrokenPhoto("The image has no picture in it.")
        place += 1
        if blocks > _MOST_BLOCKS:
            raise PhotoTooLarge(f"The image has more than {_MOST_BLOCKS:,} blocks before its picture. Save it again.")
    left, top, across, down = unpack_from("<HHHH", photo, place + 1)
    width, height = (
        max(width, left + across),
        max(height, top + down),
    )  # the screen grows to its first picture
    return Header(
        "GIF",
        width,
        height,
        seconds=width * height * 15e-9 + blocks * 3e-6 + len(photo) * 15e-9,  # codes that add no pixel take time, too
        held=2,
        stored=1,
    )
