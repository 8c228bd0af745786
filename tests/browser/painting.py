"""What the painted scenes and dishes are made of: planes of noise, blends of colours."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 960, 720
Plane = NDArray[np.float64]
"""Values of shape (height, width)."""
Picture = NDArray[np.float64]
"""Colours of shape (height, width, 3), values 0-255."""
Colour = tuple[int, int, int]

X, Y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))


def clouds(rng: np.random.Generator, rows: int, columns: int, octaves: int = 5) -> Plane:
    """Fractal noise, 0 to 1."""
    total = np.zeros((HEIGHT, WIDTH))
    for octave in range(octaves):
        size = (max(2, min(WIDTH, columns << octave)), max(2, min(HEIGHT, rows << octave)))
        grain = Image.fromarray(rng.random((size[1], size[0])).astype(np.float32))
        total += np.asarray(grain.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) / 2**octave
    return (total - total.min()) / np.ptp(total)


def smooth(value: Plane, low: float | Plane, high: float | Plane) -> Plane:
    share = np.clip((value - low) / (np.asarray(high) - low), 0, 1)
    return share * share * (3 - 2 * share)


def blend(low: Colour, high: Colour, share: Plane) -> Picture:
    share = np.clip(share, 0, 1)[..., None]
    return np.array(low) * (1 - share) + np.array(high) * share


def over(picture: Picture, colour: Colour, share: Plane) -> Picture:
    share = np.clip(share, 0, 1)[..., None]
    return picture * (1 - share) + np.array(colour) * share


def image(picture: Picture) -> Image.Image:
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
