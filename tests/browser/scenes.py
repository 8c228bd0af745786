"""Scenes painted by code: what the screenshots show, since no photo of somebody else's belongs there."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from tests.browser.painting import HEIGHT, WIDTH, Plane, X, Y, blend, clouds, image, over, smooth


def sea() -> Image.Image:
    """A calm sea under a clear evening sky, the sun low."""
    rng = np.random.default_rng(7)
    sky = blend((96, 150, 205), (250, 214, 170), Y / 0.45)
    sky = over(sky, (255, 246, 235), 0.75 * smooth(clouds(rng, 9, 3), 0.55, 0.9) * (1 - Y / 0.45))
    depth = np.clip((Y - 0.45) / 0.55, 0.002, 1)
    waves = _waves(rng, depth)
    water = blend((150, 170, 175), (22, 74, 108), depth**0.5)
    water = over(water, (8, 42, 70), 0.75 * smooth(waves, 0.5, 0.2))
    glitter = np.exp(-(((X - 0.62) / (0.05 + 0.16 * depth)) ** 2))
    water = over(water, (255, 226, 180), smooth(waves, 0.56 - 0.2 * glitter, 0.8) * (0.25 + 0.75 * glitter))
    picture = np.where((Y < 0.45)[..., None], sky, water)
    sun = np.exp(-(((X - 0.62) ** 2 + ((Y - 0.36) * HEIGHT / WIDTH) ** 2) / 0.0009))
    return image(over(picture, (255, 250, 232), sun * (Y < 0.45)))


def mountain() -> Image.Image:
    """Snowy peaks behind dark wooded hills."""
    rng = np.random.default_rng(12)
    picture = blend((70, 130, 200), (205, 224, 238), Y / 0.7)
    picture = over(picture, (250, 250, 250), 0.8 * smooth(clouds(rng, 8, 3), 0.5, 0.9) * (1 - Y))
    for base, height, rough, dark, light, snow in (
        (0.52, 0.34, 5, (112, 126, 150), (170, 180, 196), 0.9),
        (0.66, 0.40, 4, (58, 62, 74), (136, 128, 122), 0.62),
    ):
        ridge = base - height * _ridge(rng, rough)
        inside = smooth(Y - ridge[None, :], 0, 0.003)
        relief = _relief(rng, ridge)
        rock = blend(dark, light, relief)
        cap = smooth(relief * 0.55 + snow - (Y - ridge.min()) * 2.4, 0.42, 0.6)
        shade = blend((146, 164, 196), (252, 252, 255), smooth(relief, 0.25, 0.6))
        rock = rock * (1 - cap[..., None]) + shade * cap[..., None]
        picture = picture * (1 - inside[..., None]) + rock * inside[..., None]
    for base, colour in ((0.74, (44, 66, 58)), (0.84, (28, 48, 36)), (0.93, (18, 33, 24))):
        hill = base - 0.07 * _ridge(rng, 3) - 0.028 * rng.random(WIDTH) * (np.arange(WIDTH) % 7 < 4)
        grain = 0.7 + 0.6 * clouds(rng, 40, 60)
        inside = smooth(Y - hill[None, :], 0, 0.004)[..., None]
        picture = picture * (1 - inside) + np.array(colour) * grain[..., None] * inside
    return image(picture)


def forest() -> Image.Image:
    """Trunks in a green wood, light falling through the leaves."""
    rng = np.random.default_rng(5)
    leaves = clouds(rng, 14, 20) * 0.6 + clouds(rng, 60, 90) * 0.4
    picture = blend((20, 44, 16), (128, 168, 66), smooth(leaves, 0.3, 0.72))
    picture = over(picture, (232, 244, 190), smooth(leaves, 0.64, 0.8) * smooth(0.62 - Y, 0, 0.5))
    for layer in range(4):
        for _ in range(9):
            left, wide = rng.random(), (0.005 + 0.011 * layer) * (0.6 + rng.random())
            centre = left + 0.012 * np.sin(Y * (3 + 4 * rng.random()) + layer) + 0.02 * (Y - 0.5) * (rng.random() - 0.5)
            across = (X - centre) / wide
            trunk = (np.abs(across) < 1) & (0.72 + 0.07 * layer > Y)
            bark = 0.45 + 0.4 * clouds(rng, 14, 120, 3) - 0.28 * across
            tone = np.array([(96, 112, 84), (78, 84, 60), (62, 58, 44), (46, 40, 32)][layer])
            picture = np.where(trunk[..., None], tone * (0.5 + bark)[..., None], picture)
        fern = clouds(rng, 50, 70) * 0.5 + clouds(rng, 20, 30) * 0.5
        ground = smooth(Y - (0.66 + 0.075 * layer) - 0.12 * (clouds(rng, 8, 3) - 0.5), 0, 0.05)
        undergrowth = blend((16, 34, 10), (104, 146, 44), smooth(fern, 0.32, 0.75))
        picture = picture * (1 - ground[..., None]) + undergrowth * ground[..., None]
    return image(picture)


def buildings() -> Image.Image:
    """A row of painted houses with windows, under a blue sky."""
    rng = np.random.default_rng(3)
    sky = blend((112, 164, 214), (206, 226, 240), Y)
    picture = image(over(sky, (255, 255, 255), 0.8 * smooth(clouds(rng, 7, 3), 0.48, 0.9)))
    brush = ImageDraw.Draw(picture)
    paints = [(198, 84, 62), (232, 196, 120), (92, 132, 164), (226, 214, 192), (164, 92, 74), (214, 160, 96)]
    left = -20
    for paint in paints:
        wide, top = int(rng.integers(150, 190)), int(rng.integers(110, 230))
        brush.rectangle((left, top, left + wide, 620), fill=paint)
        brush.polygon(
            [(left - 6, top), (left + wide // 2, top - 78), (left + wide + 6, top)],
            fill=tuple(int(value * 0.55) for value in (150, 80, 66)),
        )
        brush.rectangle((left + wide - 8, top, left + wide, 620), fill=tuple(int(value * 0.7) for value in paint))
        for row in range(top + 30, 560, 88):
            for column in range(3):
                x = left + 18 + column * (wide - 30) // 3
                brush.rectangle((x - 4, row - 4, x + 32, row + 54), fill=(244, 240, 230))
                brush.rectangle((x, row, x + 28, row + 50), fill=(62, 76, 92))
                brush.polygon([(x, row), (x + 20, row), (x, row + 34)], fill=(128, 148, 166))
                brush.line((x + 14, row, x + 14, row + 50), fill=(244, 240, 230), width=3)
                brush.line((x, row + 22, x + 28, row + 22), fill=(244, 240, 230), width=3)
        left += wide
    brush.rectangle((0, 606, WIDTH, 640), fill=(172, 164, 154))
    brush.rectangle((0, 640, WIDTH, HEIGHT), fill=(86, 86, 90))
    grain = 0.82 + 0.3 * (clouds(rng, 80, 110)[..., None] * 0.6 + clouds(rng, 9, 9)[..., None] * 0.4)
    return image(np.asarray(picture, dtype=np.float64) * grain).filter(ImageFilter.GaussianBlur(0.8))


def _waves(rng: np.random.Generator, depth: Plane) -> Plane:
    """Noise that gets finer and flatter towards the horizon."""
    noise = clouds(rng, 24, 10, 6)
    far = np.clip((np.log(depth) + 6.3) / 6.3, 0, 1)
    rows = (far * (HEIGHT - 1)).astype(int)
    columns = ((X - 0.5) / (0.35 + depth) * 0.35 + 0.5) * (WIDTH - 1)
    return noise[rows, np.clip(columns, 0, WIDTH - 1).astype(int)]


def _ridge(rng: np.random.Generator, peaks: int) -> NDArray[np.float64]:
    """The line of a ridge over the width, 0 to 1."""
    places = np.linspace(0, 1, WIDTH)
    line = np.zeros(WIDTH)
    for octave in range(7):
        count = peaks << octave
        line += np.interp(places, np.linspace(0, 1, count + 1), rng.random(count + 1)) / 1.9**octave
    return (line - line.min()) / np.ptp(line)


def _relief(rng: np.random.Generator, ridge: NDArray[np.float64]) -> Plane:
    """Light on slopes below a ridge, 0 to 1: folds that fall away from it, lit from the left."""
    down = Y - ridge[None, :]
    noise = clouds(rng, 5, 8, 7)
    slope = np.gradient(noise + 0.6 * np.abs(down), axis=1) * 60 + np.gradient(noise, axis=0) * 30
    return np.clip(0.5 + slope, 0, 1)
