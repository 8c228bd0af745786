"""Colours to sRGB: by the ICC profile that a photo embeds, or by a PNG's gamma."""

from functools import lru_cache
from io import BytesIO
from struct import error, unpack_from

import numpy as np
from PIL import Image, ImageCms

from foodscene.models.decoding.loading import Photo
from foodscene.models.decoding.png import STANDARD_GAMMA

_MOST_PROFILE = 4_000_000
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode by the colour space in a profile's header."""
_STEPS = {kind + b"%d" % intent for kind in (b"D2B", b"B2D") for intent in range(4)}
"""The tags whose content is any number of steps, half a million in 4 MB, each of which is taken for every colour."""
_SCREEN_GAMMA = 2.2
_NOTICED = 0.05
"""libpng leaves a gamma alone that differs by less from the screen's."""


def to_srgb(image: Image.Image, photo: Photo) -> Image.Image:
    """The colours of `image`, mode RGB, L or CMYK, as sRGB: mode RGB, or L where nothing need be done.

    `image` is `photo` or made from it. What no profile speaks of is taken for sRGB, as browsers do, and so is what has
    a profile that is damaged, or of another kind of colour than the image; one for RGB speaks of gray, too.
    """
    transform = _transform(photo.profile, image.mode) if photo.profile and len(photo.profile) < _MOST_PROFILE else None
    if transform is not None:
        return transform.apply(image if image.mode == transform.input_mode else image.convert(transform.input_mode))
    if image.mode == "CMYK":
        return image.convert("RGB")
    # PNG, 13.13: what is seen is the sample to the power of 1 / (gamma of the file x gamma of the screen).
    exponent = 1 / (max(photo.gamma, 0.01) * _SCREEN_GAMMA)
    if photo.gamma != STANDARD_GAMMA and photo.gamma > 0 and abs(exponent - 1) > _NOTICED:
        levels = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(int).tolist()
        return image.point(levels * len(image.getbands()))
    return image


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What brings colours of this profile to sRGB; None where nothing need be done, or can be.

    The intent is perceptual, as of browsers. Safe to share between threads: a transform is not written to.
    """
    try:
        embedded = ImageCms.ImageCmsProfile(BytesIO(_without_steps(profile)))
        meant = _MODES.get(embedded.profile.xcolor_space)
        if meant == "RGB" and mode == "L":
            mode = meant
        if meant != mode:
            return None
        transform = ImageCms.buildTransform(embedded, _SRGB, mode, "RGB", ImageCms.Intent.PERCEPTUAL)
        return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, error):
        return None


def _without_steps(profile: bytes) -> bytes:
    """The profile with its tags D2B0 to B2D3 called something else, so that nobody reads them.

    ICC.1:2022, 7.3: a table of tags, each a name, a place and a size, follows the header of 128 bytes and their number.
    What else a profile may have, matrices and tables, takes a tenth of a second at most. Browsers pass over these, too.
    """
    (count,) = unpack_from(">I", profile, 128)
    altered = bytearray(profile)
    for place in range(132, min(132 + 12 * count, len(profile)), 12):
        if profile[place : place + 4] in _STEPS:
            altered[place : place + 4] = b"none"
    return bytes(altered)


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a profile is sRGB's own, by whatever name: no colour of a grid moves by more than a level."""
    levels = np.linspace(0, 255, 18).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(18, -1, 3) if mode == "RGB" else levels[None]
    before = Image.fromarray(grid)
    moved = np.abs(np.asarray(transform.apply(before), dtype=int) - np.asarray(before.convert("RGB"), dtype=int))
    return int(moved.max()) <= 1
