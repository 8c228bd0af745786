"""The orientation tag: how the stored rows and columns are brought upright."""

from PIL import Image

_TAG = 0x0112
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
    try:
        return int(image.getexif().get(_TAG, 1))
    except Exception:  # noqa: BLE001 - damaged metadata is no reason to refuse intact pixels
        return 1


def upright(image: Image.Image, value: int) -> Image.Image:
    """The image brought upright: itself where it is."""
    return image.transpose(_UPRIGHT[value]) if value in _UPRIGHT else image
