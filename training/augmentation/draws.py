"""What is drawn at random for each photo, and the affine map that it amounts to."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.training.recipes.augmentation import Augmentation

DRAW = np.dtype(
    [
        ("theta", "f8"),  # degrees
        ("tx", "f8"),  # pixels
        ("ty", "f8"),  # pixels
        ("shear", "f8"),  # degrees
        ("zx", "f8"),
        ("zy", "f8"),
        ("flip_horizontal", "?"),
        ("flip_vertical", "?"),
        ("channel_shift_intensity", "f8"),  # grey levels; nan: none
        ("brightness", "f8"),  # factor; nan: none
        ("downscale", "f8"),  # share of the size; nan: none
        ("jpeg_quality", "f8"),  # 1 to 100; nan: none
    ]
)
"""The parameters of one photo, by the names of `ImageDataGenerator.get_random_transform`, and of `degradation`."""

Draws = NDArray[np.void]
"""Shape (n,), dtype `DRAW`."""

_STILL = np.array((0, 0, 0, 0, 1, 1, False, False, np.nan, np.nan, np.nan, np.nan), DRAW)


def draw(augmentation: Augmentation, height: int, width: int, count: int, rng: np.random.Generator) -> Draws:
    """Draw the parameters of `count` photos as `ImageDataGenerator.get_random_transform` does, in its order."""
    draws = np.full(count, _STILL)
    if augmentation.rotation_range:
        draws["theta"] = rng.uniform(-augmentation.rotation_range, augmentation.rotation_range, count)
    draws["tx"] = _shifts(augmentation.height_shift_range, height, count, rng)
    draws["ty"] = _shifts(augmentation.width_shift_range, width, count, rng)
    if augmentation.shear_range:
        draws["shear"] = rng.uniform(-augmentation.shear_range, augmentation.shear_range, count)
    zoom = augmentation.zoom_range
    low, high = zoom if isinstance(zoom, tuple) else (1 - zoom, 1 + zoom)
    if (low, high) != (1, 1):
        draws["zx"], draws["zy"] = rng.uniform(low, high, (count, 2)).T
    draws["flip_horizontal"] = (rng.random(count) < 0.5) & augmentation.horizontal_flip
    draws["flip_vertical"] = (rng.random(count) < 0.5) & augmentation.vertical_flip
    if augmentation.channel_shift_range:
        intensity = augmentation.channel_shift_range
        draws["channel_shift_intensity"] = rng.uniform(-intensity, intensity, count)
    if augmentation.brightness_range:
        draws["brightness"] = rng.uniform(*augmentation.brightness_range, count)
    for name, reach in (("downscale", augmentation.downscale_range), ("jpeg_quality", augmentation.jpeg_quality_range)):
        if reach:
            draws[name] = rng.uniform(*reach, count)
    if augmentation.probability < 1:
        draws[rng.random(count) >= augmentation.probability] = _STILL
    return draws


def _shifts(
    reach: int | float | tuple[float, ...], size: int, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Pixels: uniform for a float, whole numbers below an integer, one of a list; below 1 they are shares of `size`."""
    if not reach:
        return np.zeros(count)
    if isinstance(reach, float):
        shifts = rng.uniform(-reach, reach, count)
    else:
        shifts = rng.choice(reach, count) * rng.choice([-1, 1], count)
    return shifts * size if np.max(reach) < 1 else shifts


def parameters(one: np.void) -> dict[str, Any]:
    """One row of `Draws` as `ImageDataGenerator.apply_transform` takes it."""
    names = (name for name in DRAW.names or () if name not in ("downscale", "jpeg_quality"))
    return {name: None if np.isnan(one[name]) else one[name] for name in names}


def matrices(draws: Draws, height: int, width: int) -> NDArray[np.float64]:
    """The maps from places on the altered photo to places on the original, as (column, row) in pixels.

    Shape (n, 2, 3), float64. This is rotation @ shift @ shear @ zoom about the centre, then the flips: the product in
    `keras.src.legacy.preprocessing.image.apply_affine_transform` multiplied out. Like there, `tx`, which
    `height_shift_range` sets, moves along a row, and the centre is that of a photo of swapped sides.
    """
    theta = np.deg2rad(draws["theta"])
    sheared = theta + np.deg2rad(draws["shear"])
    cos, sin, tx, ty = np.cos(theta), np.sin(theta), draws["tx"], draws["ty"]
    linear = np.stack(
        [
            np.stack([cos * draws["zx"], -np.sin(sheared) * draws["zy"]], -1),
            np.stack([sin * draws["zx"], np.cos(sheared) * draws["zy"]], -1),
        ],
        -2,
    )
    centre = np.array([height / 2 - 0.5, width / 2 - 0.5])
    offset = centre - linear @ centre + np.stack([cos * tx - sin * ty, sin * tx + cos * ty], -1)
    for axis, (flips, last) in enumerate([(draws["flip_horizontal"], width - 1), (draws["flip_vertical"], height - 1)]):
        offset[flips] += linear[flips, :, axis] * last
        linear[flips, :, axis] *= -1
    return np.concatenate([linear, offset[..., None]], -1)
