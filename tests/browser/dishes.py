"""Dishes painted by code, for the screenshots."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tests.browser.painting import HEIGHT, WIDTH, Plane, X, Y, blend, clouds, image, over, smooth


def beignets() -> Image.Image:
    """Pastries under powdered sugar on a plate."""
    rng = np.random.default_rng(4)
    table = image(blend((60, 40, 28), (112, 78, 52), clouds(rng, 80, 5, 3)))
    brush = ImageDraw.Draw(table)
    plate = ((402, (30, 20, 14)), (396, (228, 226, 222)), (388, (247, 246, 243)), (300, (226, 225, 222)))
    for edge, tone in (*plate, (296, (242, 241, 238))):
        brush.ellipse((480 - edge, 390 - edge * 0.8, 480 + edge, 390 + edge * 0.8), fill=tone)
    picture = np.asarray(table, dtype=np.float64)
    grain = 0.5 * clouds(rng, 120, 160) + 0.5 * clouds(rng, 26, 36)
    for x, y, size, turn in (
        (0.36, 0.42, 0.15, 0.3),
        (0.6, 0.38, 0.155, -0.4),
        (0.47, 0.62, 0.165, 0.15),
        (0.7, 0.6, 0.135, 0.8),
        (0.28, 0.64, 0.13, -0.2),
    ):
        across, down = (X - x) * WIDTH / HEIGHT, Y - y
        long, short = across * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - across * np.sin(turn)
        bump = clouds(rng, 6, 8) - 0.5
        shadow = _cushion(long - 0.012, short - 0.03, size) + 0.2 * bump
        picture = over(picture, (70, 50, 36), 0.6 * smooth(1.18 - shadow, 0, 0.2))
        distance = _cushion(long, short, size) + 0.22 * bump
        inside, dome = smooth(1 - distance, 0, 0.03), np.sqrt(np.clip(1 - distance**2, 0, 1))
        dough = blend((110, 56, 18), (222, 150, 66), dome * (0.75 + 0.5 * bump) - 0.1 * down / size)
        sugar = smooth(1.15 * grain + 0.35 * dome - 0.25 * down / size, 0.7, 0.82)
        dough = over(dough, (253, 252, 250), 0.96 * sugar)
        picture = picture * (1 - inside[..., None]) + dough * inside[..., None]
    lit = image(picture * (0.8 + 0.3 * (1 - X))[..., None]).filter(ImageFilter.GaussianBlur(1))
    return lit.crop((147, 133, 803, 625)).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def bibimbap() -> Image.Image:
    """A stone bowl of vegetables in strips, an egg in their middle."""
    rng = np.random.default_rng(21)
    picture = image(blend((92, 60, 38), (150, 104, 68), clouds(rng, 80, 5, 3)))
    brush = ImageDraw.Draw(picture)
    for edge, tone in ((352, (40, 26, 18)), (344, (30, 29, 30)), (330, (66, 64, 64)), (300, (24, 22, 22))):
        brush.ellipse((480 - edge, 366 - edge, 480 + edge, 366 + edge), fill=tone)
    strips = [(226, 112, 30), (58, 98, 34), (236, 222, 164), (110, 72, 42), (222, 62, 40), (150, 178, 84), (92, 48, 30)]
    for step in range(5200):
        part, far = rng.integers(len(strips)), 282 * rng.random() ** 0.55
        angle = 2 * np.pi * (part + rng.normal(0.5, 0.26)) / len(strips)
        x, y, turn = 480 + far * np.cos(angle), 366 + far * np.sin(angle), rng.normal(angle, 0.5)
        tone = np.array(strips[part]) * (0.5 + 0.62 * rng.random() * (0.4 + 0.6 * step / 5200)) + 16
        long, wide = rng.uniform(9, 24), int(rng.integers(3, 7))
        across, down = long * np.cos(turn), long * np.sin(turn)
        brush.line((x - across + 2, y - down + 3, x + across + 2, y + down + 3), fill=(28, 18, 12), width=wide)
        brush.line((x - across, y - down, x + across, y + down), fill=tuple(tone.clip(0, 255).astype(int)), width=wide)
    for reach, rough, tone in ((112, 0.06, (206, 196, 176)), (106, 0.06, (252, 250, 242)), (46, 0.015, (238, 150, 24))):
        brush.polygon(_blob(rng, 476, 360, reach, rough), fill=tone)
    brush.polygon(_blob(rng, 462, 346, 16, 0.1), fill=(252, 206, 110))
    light = 0.74 + 0.4 * (clouds(rng, 70, 90)[..., None] * 0.5 + (1 - X)[..., None] * 0.5)
    return image(np.asarray(picture.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float64) * light)


def _blob(rng: np.random.Generator, x: float, y: float, reach: float, rough: float) -> list[tuple[float, float]]:
    """The outline of something nearly round."""
    angles = np.linspace(0, 2 * np.pi, 60)
    wobble = np.interp(angles, np.linspace(0, 2 * np.pi, 10), np.append(away := rng.standard_normal(9), away[0]))
    reaches = reach * (1 + rough * wobble)
    return list(zip(x + reaches * np.cos(angles), y + reaches * np.sin(angles), strict=True))


def _cushion(long: Plane, short: Plane, size: float) -> Plane:
    """How far from the middle of a rounded square: 1 at its edge."""
    return (np.abs(long / size) ** 3 + np.abs(short / size / 0.82) ** 3) ** (1 / 3)
