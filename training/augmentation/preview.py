"""A picture of what an `[augmentation]` section does: photos, altered copies beside them, and both standardized."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from foodscene.training import sheet
from foodscene.training.augmentation import AugmentationEngine, fast, reference, standardization
from foodscene.training.augmentation.draws import draw
from foodscene.training.recipes.augmentation import Augmentation

_GAP, _TITLE, _SIDE = 4, 24, 128  # _SIDE: photos smaller than this are enlarged


def grid(
    augmentation: Augmentation,
    pixels: NDArray[np.uint8],
    indices: NDArray[np.int64],
    *,
    photos: int = 6,
    copies: int = 5,
    engine: AugmentationEngine = "fast",
    seed: int = 0,
) -> Image.Image:
    """A row for each of `photos` photos of `pixels[indices]`: the original, then `copies` altered ones.

    Where photos are standardized, the same row stands again to the right as the network sees it. These values are no
    grey levels; they are shown from their 1st percentile, black, to their 99th, white. `pixels` is uint8 of shape (n,
    height, width, channels); the statistics are those of all of `pixels[indices]`.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.choice(indices, min(photos, len(indices)), replace=False)
    height, width, channels = pixels.shape[1:]
    draws = draw(augmentation, height, width, len(chosen) * copies, rng)
    made_by = fast if engine == "fast" else reference
    altered = made_by.prepare(pixels, chosen.repeat(copies), draws, augmentation)(slice(None))
    shape = len(chosen), copies, height, width, channels
    cells = np.concatenate([pixels[chosen][:, None], altered.reshape(shape)], 1)
    parts = [("originals", cells[:, :1]), ("altered", cells[:, 1:])]
    layers = standardization.layers(augmentation, pixels, indices)
    if layers:
        values = cells.reshape(-1, height, width, channels).astype(np.float32)
        for layer in layers:
            values = layer(values)
        parts.append(("as the network sees them", _shown(np.asarray(values)).reshape(cells.shape)))
    return _assembled(parts)


def _shown(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Any values as grey levels 0-255."""
    low, high = np.percentile(values, (1, 99))
    shown: NDArray[np.float32] = (values - low) / max(high - low, 1e-6) * 255
    return shown


def _assembled(parts: list[tuple[str, NDArray[np.generic]]]) -> Image.Image:
    """The parts, arrays of cells of shape (rows, columns, height, width, channels), side by side under titles."""
    rows, _, height, width, channels = parts[0][1].shape
    zoom = max(1, round(_SIDE / max(height, width)))
    columns = sum(cells.shape[1] for _, cells in parts)
    across, down = width * zoom + _GAP, height * zoom + _GAP
    drawn = Image.new("RGB", (columns * across + len(parts) * 2 * _GAP, _TITLE + rows * down), "white")
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(size=14)
    left = _GAP
    for title, cells in parts:
        pen.text((left, 3), title, fill="black", font=font)
        photos = np.rint(cells.reshape(-1, height, width, channels).astype(np.float64)).clip(0, 255).astype(np.uint8)
        images = [
            Image.fromarray(photo[..., 0] if channels == 1 else photo).resize(
                (width * zoom, height * zoom), Image.Resampling.NEAREST
            )
            for photo in photos
        ]
        drawn.paste(sheet.grid(images, cells.shape[1], gap=_GAP), (left, _TITLE))
        left += cells.shape[1] * across + 2 * _GAP
    return drawn
