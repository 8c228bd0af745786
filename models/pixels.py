"""How the bytes of a photo become the input of a network: the one such code, which training and serving share."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foodscene.models.decoding.colour import to_srgb
from foodscene.models.decoding.errors import (
    BrokenPhoto,
    PhotoError,
    PhotoTooLarge,
    UnsupportedPhoto,
)
from foodscene.models.decoding.fitting import Box, Fit, InputSpec, enough_for, fit_photo
from foodscene.models.decoding.flattening import flatten
from foodscene.models.decoding.header import Header
from foodscene.models.decoding.inspection import inspect
from foodscene.models.decoding.limits import LIMITS, DecodingLimits
from foodscene.models.decoding.loading import DECODING, Photo, decoded, size_upright
from foodscene.models.decoding.orientation import orientation, upright

__all__ = [
    "DECODING",
    "LIMITS",
    "Box",
    "BrokenPhoto",
    "DecodingLimits",
    "Fit",
    "Header",
    "InputSpec",
    "PhotoError",
    "PhotoTooLarge",
    "Reading",
    "UnsupportedPhoto",
    "decode",
    "fit",
    "inspect",
    "read_noting",
    "read_photo",
    "refit",
    "shrink",
    "upright_size",
]


class Reading(NamedTuple):
    """A photo as a network takes it, and what is to be said of it."""

    pixels: NDArray[np.uint8]
    """Shape (height, width, channels), values 0-255."""
    truncated: bool
    """Whether it lacks its end: up to 5 % of its rows, which are gray."""


def read_photo(
    source: bytes | Path,
    spec: InputSpec,
    *,
    box: Box | None = None,
    limits: DecodingLimits = LIMITS,
) -> NDArray[np.uint8]:
    """Decode a photo and fit it to what a network takes.

    Returns an array of shape `spec.shape`, uint8, values 0-255, in sRGB. `box` keeps only that part of the photo.
    Raises a `PhotoError`: `UnsupportedPhoto`, `BrokenPhoto` or `PhotoTooLarge`.
    """
    return read_noting(source, spec, box=box, limits=limits).pixels


def read_noting(
    source: bytes | Path,
    spec: InputSpec,
    *,
    box: Box | None = None,
    limits: DecodingLimits = LIMITS,
) -> Reading:
    """As `read`, with what is to be said of the photo."""
    photo = _bytes(source)
    header = inspect(photo)
    enough = enough_for(spec, (header.width, header.height), box)
    with decoded(photo, header, reduce_to=enough, limits=limits) as found:
        return Reading(fit_photo(found, spec, box, enough), found.truncated)


def decode(source: bytes | Path, *, limits: DecodingLimits = LIMITS) -> Image.Image:
    """Decode a photo at its full size, mode RGB or L, upright, in sRGB.

    Transparent parts lie over white, deep and CMYK pixels become 8-bit RGB, of an animation the first frame counts.
    Raises a `PhotoError`, as `read` does.
    """
    photo = _bytes(source)
    with decoded(photo, inspect(photo), limits=limits) as found:
        return _picture(found, flatten(found)[0])


def shrink(source: bytes | Path, longest: int, *, limits: DecodingLimits = LIMITS) -> Image.Image:
    """Decode a photo, upright, mode RGB or L, and scale it down to at most `longest` pixels in width and height.

    Raises a `PhotoError`, as `read` does.
    """
    photo = _bytes(source)
    with decoded(photo, inspect(photo), reduce_to=(longest, longest), limits=limits) as found:
        flat = flatten(found, (longest, longest))[0]
        small = flat if flat is not found.image else flat.copy()
        small.thumbnail((longest, longest), Image.Resampling.BILINEAR)
        return _picture(found, small)


def upright_size(source: bytes) -> tuple[int, int]:
    """Width and height of a photo at its full size, upright, in pixels; read from its header alone.

    Raises a `PhotoError`, as `read` does.
    """
    return size_upright(source, inspect(source))


def fit(image: Image.Image, spec: InputSpec, box: Box | None = None) -> NDArray[np.uint8]:
    """Scale `image`, or the part of it inside `box`, to the size of `spec` (antialiased bilinear).

    Returns an array of shape `spec.shape`, uint8. An orientation tag in the image is followed, and its colour profile.
    """
    return fit_photo(
        Photo(image, orientation(image), profile=image.info.get("icc_profile")),
        spec,
        box,
    )


def refit(pixels: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """Photos that were fitted for one network, shape (n, height, width, channels), as another one takes them."""
    pictures = (Image.fromarray(one if one.shape[2] == 3 else one[:, :, 0]) for one in pixels)
    return np.stack([fit(picture, spec) for picture in pictures])


def _picture(photo: Photo, flat: Image.Image) -> Image.Image:
    return upright(to_srgb(flat, photo), photo.orientation)


def _bytes(source: bytes | Path) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()
