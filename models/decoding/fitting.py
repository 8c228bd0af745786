"""From a decoded photo to what a network takes."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foodscene.models.decoding.colour import to_srgb
from foodscene.models.decoding.flattening import flatten
from foodscene.models.decoding.loading import Photo
from foodscene.models.decoding.orientation import SIDEWAYS, upright

Fit = Literal["squash", "crop", "pad"]
"""How a photo takes the network's shape: stretched to it, cut to it around the centre, or whole with black borders."""

Box = tuple[float, float, float, float]
"""A part of a photo: left, top, right, bottom in pixels of the stored image, before any orientation tag."""

# A photo reduced by a whole factor gives the same fitted pixels (within one grey level on average) as long as it still
# is this many times larger than the network's input.
_OVERSAMPLING = 3


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


def enough_for(spec: InputSpec, size: tuple[int, int], box: Box | None = None) -> tuple[float, float]:
    """Width and height that a photo, or the whole photo of which `box` is a part, may be reduced to for `spec`.

    `size` is the stored width and height.
    """
    side = max(spec.height, spec.width) * _OVERSAMPLING
    part = max(size[0] / max(1e-9, box[2] - box[0]), size[1] / max(1e-9, box[3] - box[1])) if box else 1
    return side * part, side * part


def fit_photo(
    photo: Photo,
    spec: InputSpec,
    box: Box | None = None,
    reduce_to: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Scale a photo, or the part of it inside `box`, to the size of `spec` (antialiased bilinear), upright and in sRGB.

    Returns an array of shape `spec.shape`, uint8. `reduce_to` is what `enough_for` gives.
    """
    width, height = (spec.height, spec.width) if photo.orientation in SIDEWAYS else (spec.width, spec.height)
    flat, scale = flatten(photo, reduce_to)
    whole = photo.image.width / photo.samples * scale, photo.image.height * scale
    scale *= photo.scale
    left, top, right, bottom = (
        _inside((box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale), whole) if box else (0.0, 0.0, *whole)
    )
    if spec.fit == "crop":
        shrink = min((right - left) / width, (bottom - top) / height)
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        left, right = middle_x - shrink * width / 2, middle_x + shrink * width / 2
        top, bottom = middle_y - shrink * height / 2, middle_y + shrink * height / 2
        left, top, right, bottom = _inside((left, top, right, bottom), whole)
    if spec.fit == "pad":
        grow = min(width / (right - left), height / (bottom - top))
        inner = (
            max(1, round((right - left) * grow)),
            max(1, round((bottom - top) * grow)),
        )
        scaled = to_srgb(
            flat.resize(inner, Image.Resampling.BILINEAR, box=(left, top, right, bottom)),
            photo,
        )
        fitted = Image.new(scaled.mode, (width, height))
        fitted.paste(scaled, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    else:
        fitted = flat.resize((width, height), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
        fitted = to_srgb(fitted, photo)
    fitted = upright(fitted, photo.orientation)
    mode = "RGB" if spec.channels == 3 else "L"
    if fitted.mode != mode:
        fitted = fitted.convert(mode)
    return np.asarray(fitted, dtype=np.uint8).reshape(spec.shape)


def _inside(box: Box, size: tuple[float, float]) -> Box:
    """`box` cut to the image, at least one pixel wide and high where the image is."""
    width, height = size
    left, top = (
        min(max(box[0], 0.0), max(0.0, width - 1)),
        min(max(box[1], 0.0), max(0.0, height - 1)),
    )
    right, bottom = (
        min(width, max(min(box[2], width), left + 1)),
        min(height, max(min(box[3], height), top + 1)),
    )
    return left, top, right, bottom
