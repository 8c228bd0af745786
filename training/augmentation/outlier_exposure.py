"""Outliers: strange pictures among the photos of a batch, whose label is every class alike.

Hendrycks et al., "Deep Anomaly Detection with Outlier Exposure", 2019: a network that has seen pictures of nothing
learns not to be sure of what it does not know. Drawn by code are noise of any grain, strokes on plain ground, scrambled
photos, and many photos in one; photos of anything that has none of the labels may come beside them.
"""

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


FoundPhotos = Callable[[int, np.random.Generator], NDArray[Any]]
"""Gives so many photos of nothing that has a label, altered as the others are: shape (count, height, width, channels),
values 0-255."""


def add(
    photos: NDArray[Any],
    labels: NDArray[np.float32],
    share: float,
    rng: np.random.Generator,
    found: FoundPhotos | None = None,
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """A batch and outliers behind it, `share` times as many as it has photos, rounded up.

    `photos` has shape (n, height, width, channels), values 0-255, uint8 or float32; `labels` (n, classes). Of the
    outliers, half are drawn; the others, where there are such, are `found`.
    """
    kinds = (_noise, _strokes, _scrambled, _blended)
    count = math.ceil(share * len(photos))
    drawn = int(rng.binomial(count, 0.5)) if found else count
    outliers = [kinds[rng.integers(len(kinds))](photos, rng)[np.newaxis] for _ in range(drawn)]
    if found and drawn < count:
        outliers.append(found(count - drawn, rng))
    classes = labels.shape[1]
    return (
        np.concatenate([photos, *(one.astype(photos.dtype) for one in outliers)]),
        np.concatenate([labels, np.full((count, classes), 1 / classes, np.float32)]),
    )


def _noise(photos: NDArray[Any], rng: np.random.Generator) -> Picture:
    """Random pixels, or random patches with sharp or soft edges, of any contrast, in colour or grey."""
    height, width, channels = photos.shape[1:]
    grain = int(rng.integers(1, max(2, min(height, width) // 4)))
    coloured = channels if rng.random() < 0.5 else 1
    coarse = rng.random((math.ceil(height / grain), math.ceil(width / grain), coloured), dtype=np.float32)
    soft = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_NEAREST
    fine = cv2.resize(coarse, (width, height), interpolation=soft).reshape(height, width, coloured)
    low, high = np.sort(rng.uniform(0, 255, 2))
    return _bytes(np.broadcast_to(low + (high - low) * fine, (height, width, channels)))


def _strokes(photos: NDArray[Any], rng: np.random.Generator) -> Picture:
    """Lines, ellipses and rectangles on plain ground, as in drawings, signs and writing."""
    height, width, channels = photos.shape[1:]
    ground, *colours = (_colour(channels, rng) for _ in range(4))
    picture = np.empty((height, width, channels), np.uint8)
    picture[:] = ground
    for _ in range(rng.integers(1, 12)):
        colour = tuple(colours[rng.integers(len(colours))].tolist())
        thick = int(rng.integers(1, max(2, min(height, width) // 8)))
        x, y, x2, y2 = (rng.random(4) * (width, height, width, height)).astype(int).tolist()
        turn, begin, end = rng.uniform(0, 360, 3).tolist()
        match rng.integers(4):
            case 0:
                cv2.line(picture, (x, y), (x2, y2), colour, thick, cv2.LINE_AA)
            case 1:
                cv2.rectangle(picture, (x, y), (x2, y2), colour, -1 if rng.random() < 0.3 else thick)
            case _:
                axes = (1 + abs(x2 - x) // 2, 1 + abs(y2 - y) // 2)
                cv2.ellipse(picture, (x, y), axes, turn, begin, end, colour, thick, cv2.LINE_AA)
    return picture


def _scrambled(photos: NDArray[Any], rng: np.random.Generator) -> Picture:
    """A photo whose small squares have changed places: its colours, nothing of what is on it."""
    photo = photos[rng.integers(len(photos))]
    height, width, channels = photo.shape
    side = min(int(rng.integers(1, 9)), height, width)
    rows, columns = height // side, width // side
    squares = photo[: rows * side, : columns * side].reshape(rows, side, columns, side, channels).swapaxes(1, 2)
    mixed = rng.permutation(squares.reshape(rows * columns, side, side, channels))
    whole = mixed.reshape(rows, columns, side, side, channels).swapaxes(1, 2).reshape(rows * side, columns * side, -1)
    return _bytes(np.pad(whole, ((0, height - rows * side), (0, width - columns * side), (0, 0)), mode="reflect"))


def _blended(photos: NDArray[Any], rng: np.random.Generator) -> Picture:
    """Many photos in one."""
    several = rng.integers(0, len(photos), 8)
    return _bytes(photos[several].astype(np.float32).mean(axis=0))


def _colour(channels: int, rng: np.random.Generator) -> Picture:
    """Any colour; often a grey, black and white among them."""
    if rng.random() < 0.5:
        return rng.integers(0, 256, channels, dtype=np.uint8)
    grey = (0, 255, rng.integers(0, 256))[rng.integers(3)]
    return np.full(channels, grey, np.uint8)


def _bytes(picture: NDArray[Any]) -> Picture:
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)
