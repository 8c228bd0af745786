"""HEIC and AVIF: their header, and the same photo without its Exif.

ISO/IEC 23008-12: boxes of a size, a type and a content; `meta` holds `iprp`, that holds `ipco`, that holds `ispe`, the
size of each picture in the file. The size of the largest one is taken: the others are its tiles and thumbnails.
`iinf` holds an `infe` for each item, with its type. A sequence (`moov`) has a `meta` for each track besides.
"""

from collections.abc import Iterator
from struct import unpack_from

from foodscene.models.decoding.errors import BrokenPhoto, PhotoTooLarge, UnsupportedPhoto
from foodscene.models.decoding.header import SUSPICIOUS, Format, Header

_AVIF = {b"avif", b"avis"}
_HEIC = {
    b"heic",
    b"heix",
    b"hevc",
    b"hevx",
    b"heim",
    b"heis",
    b"hevm",
    b"hevs",
    b"mif1",
    b"msf1",
}
_WITHIN = {
    b"moov": 0,
    b"trak": 0,
    b"meta": 4,
    b"iprp": 0,
    b"ipco": 0,
}  # the box goes on with boxes, after so many bytes
_MOST_BOXES = 20_000


def inspect(photo: bytes) -> Header:
    """A HEIC's or AVIF's header. Raises as `inspection.inspect` does."""
    kind = _format(photo)
    width = height = 0
    for box, start, _ in _walk(photo):
        if box == b"ispe":
            across, down = unpack_from(">II", photo, start + 4)
            if across * down > width * height:
                width, height = across, down
    if not width:
        raise BrokenPhoto("The image is damaged: its size is missing.")
    return Header(kind, width, height, SUSPICIOUS + width * height * 40e-9, held=9.5)


def tidy(photo: bytes) -> bytes:
    """The photo with its Exif called something else, so that nobody reads it.

    Pillow would make objects of all values that it says to have, which may be millions, to write its orientation anew.
    Neither format means that one: the items `irot` and `imir` say how a picture is turned.
    """
    places = [place for place in (_type_of_item(photo, *box) for box in _walk(photo)) if place]
    if not places:
        return photo
    altered = bytearray(photo)
    for place in places:
        altered[place : place + 4] = b"none"
    return bytes(altered)


def _type_of_item(photo: bytes, box: bytes, start: int, end: int) -> int | None:
    """Where an item's type stands, if this is an item of Exif."""
    if box != b"infe":
        return None
    place = start + (10 if photo[start] == 3 else 8)  # behind its number, of two bytes or four, and its protection
    return place if place + 4 <= end and photo[place : place + 4] == b"Exif" else None


def _format(photo: bytes) -> Format:
    (size,) = unpack_from(">I", photo)
    brands = {
        photo[8:12],
        *(photo[place : place + 4] for place in range(16, min(size, 256), 4)),
    }
    if photo[8:12] in _AVIF or (brands & _AVIF and not brands & (_HEIC - {b"mif1", b"msf1"})):
        return "AVIF"
    if brands & _HEIC:
        return "HEIF"
    raise UnsupportedPhoto("This is a video, or an image of a kind that is not read here. Send a JPEG.")


def _walk(photo: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Every box that matters, as `_boxes` gives them. Raises `PhotoTooLarge` for more than any camera writes."""
    places = [(0, len(photo))]
    boxes = 0
    while places:
        for box, start, end in _boxes(photo, *places.pop()):
            boxes += 1
            if boxes > _MOST_BOXES:
                raise PhotoTooLarge(f"The image has more than {_MOST_BOXES:,} parts. Save it again.")
            yield box, start, end
            if box in _WITHIN:
                places.append((start + _WITHIN[box], end))
            elif box == b"iinf":  # the number of items comes first, in two bytes or four
                places.append((start + (6 if photo[start] == 0 else 8), end))


def _boxes(photo: bytes, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the content of each box."""
    while place + 8 <= end:
        size, box = unpack_from(">I4s", photo, place)
        head = 8
        if size == 1:
            (size,) = unpack_from(">Q", photo, place + 8)
            head = 16
        elif not size:
            size = end - place
        if size < head:
            return
        yield box, place + head, min(place + size, end)
        place += size
