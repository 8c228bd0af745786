"""The fast engine: one affine warp per photo on bytes, colour after it."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from foodscene.training.augmentation.buffers import Memory
from foodscene.training.augmentation.degradation import degrade
from foodscene.training.augmentation.draws import Draws, matrices
from foodscene.training.recipes.augmentation import Augmentation

# Photos are small and the callers bring threads of their own.
cv2.setNumThreads(0)

_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_BORDERS = {"nearest": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT}


def prepare(
    pixels: NDArray[np.uint8], which: NDArray[np.int64], draws: Draws, augmentation: Augmentation
) -> Callable[[slice], NDArray[np.uint8]]:
    """Prepare to alter the photos `pixels[which]`, each by its row of `draws`, and not to standardize them.

    `pixels` has shape (n, height, width, channels). Returns what makes a slice of the altered photos, in any thread:
    shape (photos of the slice, height, width, channels), within one grey level, on average, of what
    `training.augmentation.reference` makes of the same draws.
    """
    height, width = pixels.shape[1:3]
    border = _BORDERS.get(augmentation.fill_mode)
    # For all photos at once: NumPy on a batch's few numbers keeps the interpreter's lock, and threads line up for it.
    maps = matrices(draws, height, width)
    still = (maps == np.eye(2, 3)).all((1, 2))
    memory = Memory()
    recolours = bool(augmentation.channel_shift_range or augmentation.brightness_range)

    def alter(part: slice) -> NDArray[np.uint8]:
        indices = which[part].tolist()
        batch = memory.empty((len(indices), *pixels.shape[1:]))
        for photo, index, affine, stays in zip(batch, indices, maps[part], still[part].tolist(), strict=True):
            if stays:
                photo[:] = pixels[index]
            elif border is None:
                _warp_within(pixels[index], affine, augmentation, photo)
            else:
                cv2.warpAffine(pixels[index], affine, (width, height), photo, _FLAGS, border)
        if recolours:
            _recolour(batch, draws[part])
        if augmentation.degrades:
            degrade(batch, draws[part])
        return batch

    return alter


def _recolour(batch: NDArray[np.uint8], draws: Draws) -> None:
    for photo, intensity, factor in zip(batch, draws["channel_shift_intensity"], draws["brightness"], strict=True):
        if not (np.isnan(intensity) and np.isnan(factor)):
            cv2.LUT(photo, _levels(photo, intensity, factor), photo)


def _warp_within(
    source: NDArray[np.uint8], affine: NDArray[np.float64], augmentation: Augmentation, photo: NDArray[np.uint8]
) -> None:
    """Warp with scipy's meaning of the borders `constant` and `wrap`, which OpenCV's warps do not have.

    Scipy's `constant` does not blend the photo's edge with `cval`: what lies outside of the pixels' centres is `cval`.
    Its `wrap` lays the first row and column onto the last, so that a photo repeats after one pixel less than its size.
    """
    height, width = source.shape[:2]
    across, down = np.arange(width), np.arange(height)[:, None]
    columns, rows = (x * across + y * down + offset for x, y, offset in affine)
    if augmentation.fill_mode == "wrap":
        columns, rows = _wrap(columns, width - 1), _wrap(rows, height - 1)
    else:
        outside = (columns < 0) | (columns > width - 1) | (rows < 0) | (rows > height - 1)
        columns[outside] = -2  # where the interpolation reads nothing but the border's value
    cv2.remap(
        source,
        columns.astype(np.float32),
        rows.astype(np.float32),
        cv2.INTER_LINEAR,
        photo,
        cv2.BORDER_CONSTANT,
        (augmentation.cval,) * 4,
    )


def _wrap(places: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """`map_coordinate` of scipy's `ni_interpolation.c` for NI_EXTEND_WRAP."""
    if period == 0:
        return np.zeros_like(places)
    return np.where(
        places < 0,
        period - np.fmod(-places, period),
        np.where(places > period, np.fmod(places, period), places),
    )


def _levels(photo: NDArray[np.uint8], intensity: float, factor: float) -> NDArray[np.uint8]:
    """What becomes of each of the 256 grey levels: `apply_channel_shift`, then `apply_brightness_shift` of Keras."""
    levels: NDArray[np.float64] = np.arange(256.0)
    if not np.isnan(intensity):
        levels = np.clip(levels + intensity, photo.min(), photo.max())
    # Brightness is Pillow's, which cuts decimals off before and after.
    levels = np.rint(levels) if np.isnan(factor) else np.clip(np.floor(levels) * factor, 0, 255)
    return levels.astype(np.uint8)
