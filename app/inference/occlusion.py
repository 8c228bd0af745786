"""Why a network gave a label: cover parts of the photo and see how much less probable the label gets.

Occlusion sensitivity (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section 4.2):
it needs nothing but the engine's answers, so it works alike for every network and engine.
"""

import numpy as np
from numpy.typing import NDArray

from foodscene.models.pixels import InputSpec, upright_size

GRID = 10
"""Rows and columns of the heat map."""
CELLS = range(GRID * GRID)
"""The cells of the heat map, row by row."""
_COVER = 3  # cells that one cover is wide and high: smaller ones leave enough to guess from


def covers(spec: InputSpec, cells: range = CELLS) -> NDArray[np.bool_]:
    """Which pixels each cover hides, of shape (covers, height, width); a cover lies around each of these cells."""
    rows = _cell_of(spec.height)[:, None]
    columns = _cell_of(spec.width)[None, :]
    reach = _COVER // 2
    masks = [(abs(rows - cell // GRID) <= reach) & (abs(columns - cell % GRID) <= reach) for cell in cells]
    return np.stack(masks)


def occlude(pixels: NDArray[np.uint8], masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A photo of shape (height, width, channels), once for each cover, which has the photo's mean color."""
    color = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    return np.where(masks[..., None], color, pixels)


def heat(probability: float, covered: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much each cell of the grid matters: the mean fall of the label's probability under the covers that hide it.

    `covered` is the probability under each cover, of shape (covers,). Gives shape (GRID, GRID), 0 where it never falls.
    """
    falls = (probability - covered.astype(np.float64)).reshape(GRID, GRID)
    reach = _COVER // 2
    padded = np.pad(falls, reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (_COVER, _COVER))
    means: NDArray[np.float64] = np.nanmean(windows, axis=(2, 3))
    return means.clip(min=0)


def area(photo: bytes, spec: InputSpec) -> tuple[float, float, float, float]:
    """The part of the upright photo that the network sees, in shares of its width and height.

    Left, top, right, bottom; beyond 0 and 1 where the photo is padded.
    """
    if spec.fit == "squash":
        return 0.0, 0.0, 1.0, 1.0
    width, height = upright_size(photo)
    pick = min if spec.fit == "crop" else max
    scale = pick(width / spec.width, height / spec.height)
    across, down = scale * spec.width / width, scale * spec.height / height
    return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


def _cell_of(size: int) -> NDArray[np.int_]:
    """The row or column of the grid in which each pixel lies."""
    return np.arange(size) * GRID // size
