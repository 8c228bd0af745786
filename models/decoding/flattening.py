"""From any of Pillow's modes to 8 bits, transparent parts over white: by strips, so that no second photo is held."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foodscene.models.decoding.loading import Photo

_WHOLE = 4_000_000
"""Pixels of a photo that is converted in one piece."""
_STRIP = 1_000_000


def flatten(photo: Photo, reduce_to: tuple[float, float] | None = None) -> tuple[Image.Image, float]:
    """The photo in mode RGB, L or (with a profile that says what its inks are) CMYK, and its scale.

    The scale is 1, or a whole part of it for a large photo that needs converting: where that leaves `reduce_to` pixels
    in width and height, each pixel is the mean of so many.
    """
    image = photo.image
    convert = _conversion(photo)
    width, height = image.width // photo.samples, image.height
    if convert is None:
        return image, 1.0
    if width * height <= _WHOLE:
        return convert(image), 1.0
    factor = 1
    if reduce_to:
        factor = max(1, int(min(width / reduce_to[0], height / reduce_to[1])))
    rows = max(1, _STRIP // width // factor) * factor
    flat = Image.new(convert(image.crop((0, 0, photo.samples, 1))).mode, (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        strip = convert(image.crop((0, top, image.width, min(top + rows, height))))
        flat.paste(strip.reduce(factor) if factor > 1 else strip, (0, top // factor))
    return flat, 1 / factor


def _conversion(photo: Photo) -> Callable[[Image.Image], Image.Image] | None:
    """What makes a strip of such a photo 8-bit RGB or L; None where nothing need be done."""
    image = photo.image
    if image.mode in ("RGB", "L") and "transparency" not in image.info:
        return None
    if image.mode == "CMYK" and photo.profile:
        return None
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(photo)
    if image.has_transparency_data:
        return _over_white
    mode = "L" if image.mode == "1" else "RGB"
    return lambda strip: strip.convert(mode)


def _over_white(strip: Image.Image) -> Image.Image:
    over = strip.convert("RGBA")
    flat = Image.new("L" if strip.mode in ("L", "LA") else "RGB", over.size, "white")  # a gray profile speaks of gray
    flat.paste(over, mask=over.getchannel("A"))
    return flat


def _eight_bits(photo: Photo) -> Callable[[Image.Image], Image.Image]:
    """Values of more bits as 8-bit gray, or RGB where a pixel has three side by side."""
    top = _top(photo)
    image = photo.image
    clear = image.info.get("transparency") if image.mode.startswith("I;16") else None

    def convert(strip: Image.Image) -> Image.Image:
        values = _values(strip, photo)
        transparent = values == clear if isinstance(clear, int) else None
        values *= np.float32(255 / top)
        np.rint(values, out=values)
        np.clip(values, 0, 255, out=values)
        if photo.white_is_zero:
            np.subtract(255, values, out=values)
        if transparent is not None:
            values[transparent] = 255
        gray = values.astype(np.uint8)
        return Image.fromarray(gray.reshape(gray.shape[0], -1, photo.samples) if photo.samples > 1 else gray)

    return convert


def _top(photo: Photo) -> float:
    """The value that is white: what 16 bits hold, else 1, 255, 65,535 or the largest, whichever the values fit.

    Floating-point values are from 0 to 1 by convention, with highlights above; their mean tells them from others.
    """
    if photo.image.mode.startswith("I;16"):
        return float(2**photo.depth - 1)
    image = photo.image
    rows = max(1, _STRIP // image.width)
    strips = range(0, image.height, rows)
    largest = total = 0.0
    for top in strips:
        values = _values(image.crop((0, top, image.width, min(top + rows, image.height))), photo)
        np.clip(values, 0, None, out=values)
        largest = max(largest, float(values.max(initial=0)))
        total += float(values.sum(dtype=np.float64))
    if image.mode == "F" and total <= image.width * image.height:
        return 1.0
    return next((full for full in (1.0, 255.0, 65535.0) if largest <= full), largest)


def _values(strip: Image.Image, photo: Photo) -> NDArray[np.float32]:
    """The values of a photo's strip, float32, shape (rows, columns); 0 for what is no number or infinite."""
    stored = np.asarray(strip)
    if strip.mode == "I" and photo.depth == 32:  # which Pillow takes for numbers with a sign
        stored = stored.view(np.uint32)
    values = np.array(stored, dtype=np.float32)
    return np.nan_to_num(values, copy=False, nan=0, posinf=0, neginf=0)
