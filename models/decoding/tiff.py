"""TIFF: its header, and the same photo in a layout that Pillow reads right.

TIFF 6.0 and BigTIFF: a directory of tags, each with a type, a count and a value, or the place of its values.
"""

from struct import calcsize, pack_into, unpack_from
from typing import NamedTuple

from foodscene.models.decoding.errors import BrokenPhoto, PhotoTooLarge
from foodscene.models.decoding.header import SUSPICIOUS, Header

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _STRIP_ROWS, _PLANAR = 273, 274, 277, 278, 284
_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _SAMPLE_FORMAT = (
    317,
    322,
    323,
    324,
    339,
)
_JPEG = {6, 7}
_SLOW = {34925, 50001, 34712}  # LZMA, WebP, JPEG 2000
_SIGNED, _FLOAT = 2, 3
_TYPES = {
    1: "B",
    2: "B",
    3: "H",
    4: "I",
    6: "b",
    7: "B",
    8: "h",
    9: "i",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
_UNITS = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_BYTES = {1, 2, 6, 7}  # types whose values Pillow leaves in one piece
_RATIONALS = {5, 10}  # types of whose values Pillow makes an object each, in Python
_DIRECTORIES = (34665, 34853, 40965)  # tags that say where Exif, GPS and interoperability have directories of their own
_NOWHERE = 0xFFFF_FFFF  # behind the end of any file
_MOST_RATIONALS = 1000
_MOST_TAGS, _MOST_VALUES, _MOST_PARTS = 1000, 500_000, 65_536
_SMALL_TILE = 1 << 20
"""Pixels of a tile that may be larger than its photo: writers take 256 or 512 a side for everything."""


class Layout(NamedTuple):
    """How a TIFF's pixels lie in it."""

    order: str
    """`<` or `>`, as `struct` spells the order of bytes."""
    tags: dict[int, "Tag"]
    width: int
    height: int
    bits: int
    samples: int
    planar: bool
    """Whether each colour lies by itself."""
    floating: bool
    """Whether samples are floating-point numbers."""
    white_is_zero: bool
    signed: bool = False
    """Whether samples are whole numbers with a sign."""

    @property
    def orientation(self) -> int:
        """The orientation tag, 1 where there is none."""
        tag = self.tags.get(_ORIENTATION)
        return tag.value if tag else 1

    @property
    def compression(self) -> int:
        """The compression tag, 1 (none) where there is none."""
        return _first(self.tags, _COMPRESSION) or 1

    @property
    def deep_planes(self) -> bool:
        """Colours of 16 bits that each lie by themselves, which Pillow takes for 8 bits."""
        return self.planar and self.bits == 16 and self.samples > 1 and self.tags[_COMPRESSION].value == 1

    @property
    def float_colours(self) -> bool:
        """Colours of 32-bit floating-point numbers, which Pillow reads in gray alone."""
        return self.floating and self.bits == 32 and self.samples == 3 and not self.planar


class Tag(NamedTuple):
    """An entry of the directory."""

    place: int
    """Where it begins in the file."""
    type: int
    many: int
    """Its values."""
    value: int
    """The first of them; 0 for what is no whole number."""


def inspect(photo: bytes) -> Header:
    """A TIFF's header. Raises as `inspection.inspect` does."""
    found = layout(photo)
    pixels = max(1, found.width * found.height)
    row = found.bits * (1 if found.planar else found.samples) / 8
    if _TILE_OFFSETS in found.tags:
        across, down = _first(found.tags, _TILE_WIDTH), _first(found.tags, _TILE_HEIGHT)
        parts, part = found.tags[_TILE_OFFSETS].many, across * down
        if part > max(_SMALL_TILE, 4 * pixels):
            raise PhotoTooLarge(
                f"The TIFF's tiles have {across} x {down} pixels, the photo {found.width} x {found.height}. "
                "Save it again, without tiles."
            )
    else:
        parts = found.tags[_STRIP_OFFSETS].many if _STRIP_OFFSETS in found.tags else 1
        part = found.width * min(found.height, _first(found.tags, _STRIP_ROWS) or found.height)
    if parts > _MOST_PARTS:
        raise PhotoTooLarge(f"The TIFF has {parts:,} strips or tiles; at most {_MOST_PARTS:,} are read. Save it again.")
    compression = found.compression
    # What Pillow holds of a pixel, and the strip or tile that libtiff decompresses at a time.
    held = 4.0 if found.samples > 1 or found.bits > 16 else 2.0 if found.bits == 16 else 1.0
    if found.float_colours:
        held = 12
    if compression != 1:
        held += part / pixels * (row + (6 if compression in _JPEG else 0))
    seconds = pixels * found.samples * max(1.0, found.bits / 8)
    seconds *= 4e-9 if compression == 1 else 60e-9 if compression in _SLOW else 15e-9
    if compression != 1:  # libtiff prints its errors, and would wait for whoever reads them
        seconds += SUSPICIOUS
    return Header(
        "TIFF",
        found.width,
        found.height,
        seconds + parts * 1e-5,
        held=held,
        stored=found.samples * found.bits / 8,
    )


def layout(photo: bytes) -> Layout:
    """Read the first directory. Raises as `inspection.inspect` does."""
    order = "<" if photo.startswith(b"II") else ">"
    big = b"+" in photo[2:4]
    place, entry, count_at = 4, 12, "H"
    if big:
        place, entry, count_at = 8, 20, "Q"
    (start,) = unpack_from(order + ("Q" if big else "I"), photo, place)
    (count,) = unpack_from(order + count_at, photo, start)
    if count > _MOST_TAGS:
        raise PhotoTooLarge(f"The TIFF has {count:,} tags; at most {_MOST_TAGS:,} are read. Save it again.")
    start += calcsize(order + count_at)
    tags: dict[int, Tag] = {}
    values = rationals = 0
    for at in range(start, start + count * entry, entry):
        number, kind, many = unpack_from(order + "HH" + ("Q" if big else "I"), photo, at)
        values += 0 if kind in _BYTES else many
        rationals += many if kind in _RATIONALS else 0
        tags[number] = Tag(at, kind, many, _value(photo, order, at, kind, many, big=big))
    if values > _MOST_VALUES:
        raise PhotoTooLarge(
            f"The TIFF's tags have {values:,} values; at most {_MOST_VALUES:,} are read. Save it again."
        )
    if rationals > _MOST_RATIONALS:
        raise PhotoTooLarge(
            f"The TIFF's tags have {rationals:,} fractions; at most {_MOST_RATIONALS:,} are read. Save it again."
        )
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise BrokenPhoto("The image is damaged: its size is missing.")
    photometric = _first(tags, _PHOTOMETRIC)
    samples = _first(tags, _SAMPLES) or (3 if _first(tags, _COMPRESSION) in _JPEG and photometric != 1 else 1)
    return Layout(
        order,
        tags,
        tags[_WIDTH].value,
        tags[_HEIGHT].value,
        bits=_first(tags, _BITS) or 1,
        samples=samples,
        planar=_first(tags, _PLANAR) == 2,
        floating=_first(tags, _SAMPLE_FORMAT) == _FLOAT,
        signed=_first(tags, _SAMPLE_FORMAT) == _SIGNED,
        white_is_zero=_PHOTOMETRIC in tags and photometric == 0,
    )


def tidy(photo: bytes, found: Layout) -> bytes:
    """The same photo in a layout that Pillow reads right, its pixels as they are stored.

    Without its orientation, which Pillow would follow in a second picture of the same size. 16-bit and floating-point
    gray with black as zero, where Pillow would take white for it in one order of bytes and refuse it in the other.
    Colours of floating-point numbers as gray of three times the width. Without the directories of Exif, that Pillow
    would read to their last value.
    """
    changes = {number: _NOWHERE for number in _DIRECTORIES if number in found.tags}
    if found.orientation != 1:
        changes[_ORIENTATION] = 1
    if found.white_is_zero and found.samples == 1 and found.bits >= 16:
        changes[_PHOTOMETRIC] = 1
    if found.float_colours:
        if _first(found.tags, _PREDICTOR) > 1:
            raise BrokenPhoto("TIFFs of floating-point colours are not read with a predictor. Save it as a PNG.")
        changes |= {
            _PHOTOMETRIC: 1,
            _WIDTH: 3 * found.width,
            _SAMPLES: 1,
            _BITS: 32,
            _SAMPLE_FORMAT: _FLOAT,
        }
        if _TILE_WIDTH in found.tags:
            changes[_TILE_WIDTH] = 3 * found.tags[_TILE_WIDTH].value
    if not changes:
        return photo
    altered = bytearray(photo)
    for number, value in changes.items():
        _set(altered, found, number, value)
    return bytes(altered)


def _set(photo: bytearray, found: Layout, number: int, value: int) -> None:
    """Give a tag one value. Both sizes of directory have it at the end of the entry."""
    if number not in found.tags:
        raise BrokenPhoto(f"The image is damaged: its tag {number} is missing.")
    tag = found.tags[number]
    kind = tag.type if tag.type in (3, 4) else 4
    big = b"+" in photo[2:4]
    pack_into(found.order + ("HQ" if big else "HI"), photo, tag.place + 2, kind, 1)
    pack_into(found.order + _TYPES[kind], photo, tag.place + (12 if big else 8), value)


def _value(photo: bytes, order: str, at: int, kind: int, many: int, *, big: bool) -> int:
    if kind not in _TYPES or not many:
        return 0
    place = at + (12 if big else 8)
    if many * _UNITS[kind] > (8 if big else 4):
        (place,) = unpack_from(order + ("Q" if big else "I"), photo, place)
        if place + _UNITS[kind] > len(photo):
            return 0
    (value,) = unpack_from(order + _TYPES[kind], photo, place)
    return int(value)


def _first(tags: dict[int, Tag], number: int) -> int:
    return tags[number].value if number in tags else 0
