"""The orientation tag: how the stored rows and columns are brought upright."""

import re
from struct import unpack_from

from PIL import Image

_TAG = 0x0112
_EXIF = b"Exif\0\0"
_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_WHOLE = {3: "H", 4: "I", 8: "h", 9: "i"}
"""The types of whole numbers, as `struct` spells them."""
_MOST_TAGS = 1000
# EXIF 2.3, table "Orientation".
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset({5, 6, 7, 8})
"""The values that exchange width and height."""


def orientation(image: Image.Image) -> int:
    """The value of an image's tag, 1 to 8; 1 where it has none or it is damaged."""
    exif = image.info.get("exif")
    try:
        if not isinstance(exif, bytes):  # a TIFF's own tags, or XMP
            return int(image.getexif().get(_TAG, 1))
        value = _in_exif(exif)
        if value is None and (said := _IN_XMP.search(image.info.get("xmp", b""))):
            value = int(said[1])
    except Exception:  # noqa: BLE001 - damaged metadata is no reason to refuse intact pixels
        return 1
    return 1 if value is None else value


def _in_exif(exif: bytes) -> int | None:
    """The tag's value in the first directory, None where it is not there.

    Pillow would make objects of all values that the tag says to have, which may be millions.
    """
    while exif.startswith(_EXIF):
        exif = exif[len(_EXIF) :]
    order = {b"II": "<", b"MM": ">"}[exif[:2]]
    (start,) = unpack_from(order + "I", exif, 4)
    (count,) = unpack_from(order + "H", exif, start)
    for place in range(start + 2, start + 2 + 12 * min(count, _MOST_TAGS), 12):
        tag, kind, many = unpack_from(order + "HHI", exif, place)
        if tag == _TAG:
            return int(unpack_from(order + _WHOLE[kind], exif, place + 8)[0]) if many == 1 else 1
    return None


def upright(image: Image.Image, value: int) -> Image.Image:
    """The image brought upright: itself where it is."""
    return image.transpose(_UPRIGHT[value]) if value in _UPRIGHT else image
