"""How the bytes of a photo become the input of a network: the one such code, which training and serving share."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from foodscene.models.budget import Budget
from foodscene.models.errors import FoodsceneError

pillow_heif.register_heif_opener(thumbnails=False)
# `decode` refuses large images itself, from the header and by a limit of its own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Damaged metadata: what matters of it comes as an error.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF")
"""The formats that are read, as Pillow spells them."""

MAX_PIXELS = 50_000_000
"""Width times height of the largest photo that is decoded unless the caller says otherwise: a 48-megapixel phone's."""

DECODING = Budget(MAX_PIXELS)
"""Pixels that this process decodes at once; one takes up to 16 bytes. Photos of less than a megapixel do not count."""

Fit = Literal["squash", "crop", "pad"]
"""How a photo takes the network's shape: stretched to it, cut to it around the centre, or whole with black borders."""

Box = tuple[float, float, float, float]
"""A part of a photo: left, top, right, bottom in pixels of the stored image, before any orientation tag."""

_ORIENTATION_TAG = 0x0112
# EXIF 2.3, table "Orientation": what brings the stored rows and columns upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {5, 6, 7, 8}
_SMALL = 1_000_000
# A JPEG decoded at 1/2, 1/4 or 1/8 scale gives the same fitted pixels (within one grey level on average)
# as long as it still is this many times larger than the network's input.
_OVERSAMPLING = 3


class PhotoError(FoodsceneError, ValueError):
    """A photo that cannot be used. Its text says why, in words for the person who sent it."""


class UnsupportedPhoto(PhotoError):
    """The bytes are no image of a format in `FORMATS`."""


class BrokenPhoto(PhotoError):
    """The bytes begin like an image and then are damaged, cut short or empty."""


class PhotoTooLarge(PhotoError):
    """The header announces more pixels than the limit."""


class InputSpec(NamedTuple):
    """What a network takes: raw pixel values 0-255 of shape (height, width, channels), RGB or gray."""

    height: int
    width: int
    channels: int = 3
    fit: Fit = "squash"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)"""
        return self.height, self.width, self.channels


def read(
    source: bytes | Path, spec: InputSpec, *, box: Box | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode a photo and fit it to what a network takes.

    Returns an array of shape `spec.shape`, uint8, values 0-255. `box` keeps only that part of the photo.
    Raises a `PhotoError`: `UnsupportedPhoto`, `BrokenPhoto` or `PhotoTooLarge`.
    """
    side = max(spec.height, spec.width) * _OVERSAMPLING
    with _decoded(source, (side, side), box, max_pixels) as (image, scale):
        return fit(image, spec, tuple(edge * scale for edge in box) if box else None)  # type: ignore[arg-type]


def decode(source: bytes | Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a photo at its full size, mode RGB or L, upright.

    Transparent parts lie over white, deep and CMYK pixels become 8-bit RGB, of an animation the first frame counts.
    Raises a `PhotoError`, as `read` does.
    """
    with _decoded(source, None, None, max_pixels) as (image, _):
        return _upright(_flatten(image), _orientation(image))


def upright_size(source: bytes) -> tuple[int, int]:
    """Width and height of a photo at its full size, upright, in pixels; read from its header alone.

    Raises a `PhotoError`, as `read` does.
    """
    with _named_errors(MAX_PIXELS), Image.open(BytesIO(source), formats=FORMATS) as image:
        width, height = image.size
        return (height, width) if _orientation(image) in _SIDEWAYS else (width, height)


def shrink(source: bytes | Path, longest: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a photo, upright, mode RGB or L, and scale it down to at most `longest` pixels in width and height.

    Raises a `PhotoError`, as `read` does.
    """
    with _decoded(source, (longest, longest), None, max_pixels) as (image, _):
        upright = _upright(_flatten(image), _orientation(image))
        upright.thumbnail((longest, longest), Image.Resampling.BILINEAR)
        return upright


def fit(image: Image.Image, spec: InputSpec, box: Box | None = None) -> NDArray[np.uint8]:
    """Scale `image`, or the part of it inside `box`, to the size of `spec` (antialiased bilinear).

    Returns an array of shape `spec.shape`, uint8. An orientation tag in the image is followed.
    """
    orientation = _orientation(image)
    width, height = (spec.height, spec.width) if orientation in _SIDEWAYS else (spec.width, spec.height)
    flat = _flatten(image)
    left, top, right, bottom = _inside(box, flat.size) if box else (0.0, 0.0, float(flat.width), float(flat.height))
    if spec.fit == "crop":
        scale = min((right - left) / width, (bottom - top) / height)
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        left, right = middle_x - scale * width / 2, middle_x + scale * width / 2
        top, bottom = middle_y - scale * height / 2, middle_y + scale * height / 2
        left, top, right, bottom = _inside((left, top, right, bottom), flat.size)
    if spec.fit == "pad":
        scale = min(width / (right - left), height / (bottom - top))
        inner = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
        scaled = flat.resize(inner, Image.Resampling.BILINEAR, box=(left, top, right, bottom))
        fitted = Image.new(flat.mode, (width, height))
        fitted.paste(scaled, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    else:
        fitted = flat.resize((width, height), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    fitted = _upright(fitted, orientation)
    mode = "RGB" if spec.channels == 3 else "L"
    if fitted.mode != mode:
        fitted = fitted.convert(mode)
    return np.asarray(fitted, dtype=np.uint8).reshape(spec.shape)


@contextmanager
def _decoded(
    source: bytes | Path, at_least: tuple[int, int] | None, box: Box | None, max_pixels: int
) -> Iterator[tuple[Image.Image, float]]:
    """The loaded image, and its scale against the stored size: below 1 for a large JPEG decoded at reduced scale."""
    if not source:
        raise BrokenPhoto("The upload is empty: no bytes arrived.")
    with _named_errors(max_pixels):
        image = Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
    with image:
        width, height = image.size
        if width * height > max_pixels:
            raise PhotoTooLarge(
                f"The photo has {width} x {height} pixels; at most {max_pixels / 1e6:g} million are read. "
                "Send a smaller copy."
            )
        with _named_errors(max_pixels):
            if at_least:
                part = max(width / (box[2] - box[0]), height / (box[3] - box[1])) if box else 1
                image.draft(None, (int(at_least[0] * part), int(at_least[1] * part)))
            # The decoder of progressive JPEGs holds the whole photo, whatever the scale.
            size = (width, height) if "progressive" in image.info else image.size
        with DECODING.hold(size[0] * size[1]) if size[0] * size[1] > _SMALL else nullcontext():
            with _named_errors(max_pixels):
                image.load()
            yield image, image.width / width


@contextmanager
def _named_errors(max_pixels: int) -> Iterator[None]:
    """Turn whatever Pillow raises into a `PhotoError`."""
    try:
        yield
    except UnidentifiedImageError:
        raise UnsupportedPhoto(
            "This is not an image that is read here. Send a JPEG, PNG, WebP, GIF, BMP, TIFF or HEIC."
        ) from None
    except (Image.DecompressionBombError, MemoryError):
        raise PhotoTooLarge(f"The photo has too many pixels; at most {max_pixels / 1e6:g} million are read.") from None
    except FileNotFoundError:
        raise
    except (
        Exception
    ) as error:  # Pillow's decoders raise whatever the damaged bytes lead them to, from struct.error to KeyError
        raise BrokenPhoto(f"The image is damaged or cut short: {error}.") from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - damaged metadata is no reason to refuse intact pixels
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _flatten(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as 8-bit RGB or L, transparent parts over white."""
    if image.mode in ("RGB", "L") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    if image.has_transparency_data:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Gray of 16 bits (values up to 65,535), or of any other range stretched to its largest value, as 8-bit gray."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    top = 65535.0 if image.mode.startswith("I;16") else float(values.max(initial=0))
    for full in (1.0, 255.0, 65535.0):
        if top <= full:
            top = full
            break
    return Image.fromarray((values / top * 255).round().clip(0, 255).astype(np.uint8))


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """`box` cut to the image, at least one pixel wide and high."""
    width, height = size
    left, top = min(max(box[0], 0.0), width - 1.0), min(max(box[1], 0.0), height - 1.0)
    return left, top, max(min(box[2], float(width)), left + 1), max(min(box[3], float(height)), top + 1)
