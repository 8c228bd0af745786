"""How much worse a model gets when photos are turned, shifted, darkened, blurred, compressed …: a table and curves."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foodscene.models.engine import Engine
from foodscene.training.augmentation.draws import draw
from foodscene.training.augmentation.fast import prepare
from foodscene.training.evaluation import metrics
from foodscene.training.evaluation.metrics import TOP, Share
from foodscene.training.recipes.augmentation import Augmentation
from foodscene.training.terminal import tracked

Photos = NDArray[np.uint8]
Alter = Callable[[Photos, np.random.Generator], Photos]
"""Changes photos of shape (n, height, width, channels), uint8, drawing what is random from the generator."""

MOST, LEAST = 250, 32
"""Photos that are altered, taken evenly over the split: a dozen and more ways take their time."""

SECONDS = 60.0
"""How long all ways may take; a network to which `MOST` photos take longer is shown fewer, down to `LEAST`."""


@dataclass(frozen=True)
class Row:
    """A model's figures on photos that were altered in one way; `kind` and `amount` place it on a curve."""

    name: str
    kind: str
    amount: float | None
    unit: str
    top1: Share
    top5: Share | None

    def as_json(self) -> dict[str, Any]:
        """With the intervals as pairs of keys."""
        shares = {"top1": self.top1._asdict(), "top5": self.top5._asdict() if self.top5 else None}
        return {"name": self.name, "kind": self.kind, "amount": self.amount, "unit": self.unit, **shares}


def measure_altered(engine: Engine, pixels: Photos, rows: NDArray[np.int64], targets: NDArray[np.int64]) -> list[Row]:
    """A model's figures on the photos `pixels[rows]` with the labels `targets`: as they are, then altered in every way.

    Uses at most `MOST` of the photos, the same for every way, and as few as take `SECONDS`; what is drawn at random
    repeats from call to call.
    """
    every = list(ways())
    count = min(MOST, len(rows), max(LEAST, int(SECONDS / len(every) / _seconds(engine, pixels, rows))))
    chosen = np.linspace(0, len(rows) - 1, count).astype(np.int64)
    batches = [chosen[start : start + 32] for start in range(0, len(chosen), 32)]
    found = []
    for number, (name, kind, amount, unit, alter) in enumerate(tracked(every, len(every), "How robust it is")):
        rng = np.random.default_rng(number)
        answers = [engine.predict(alter(np.asarray(pixels[rows[batch]]), rng)) for batch in batches]
        found.append(_row(name, kind, amount, unit, np.concatenate(answers), targets[chosen]))
    return found


def _seconds(engine: Engine, pixels: Photos, rows: NDArray[np.int64]) -> float:
    """How long an engine takes for a photo, of 32; more than 0."""
    batch = np.asarray(pixels[rows[:32]])
    engine.predict(batch)  # the first call takes longer than the others
    began = time.perf_counter()
    engine.predict(batch)
    return max(1e-9, (time.perf_counter() - began) / len(batch))


def ways() -> Iterator[tuple[str, str, float | None, str, Alter]]:
    """Every way of altering photos: its name, its kind, the amount and the unit of that, and the function."""
    yield "as they are", "untouched", None, "", lambda photos, _: photos
    # The three rows of the first report's table.
    for turn, height, width, flips in ((45, 0.1, 0.1, False), (45, 0.1, 0.1, True), (180, 0.3, 0.4, True)):
        name = f"rotation {turn}°, shifts {height} high and {width} wide{', flips' if flips else ''}"
        settings = Augmentation(
            rotation_range=turn,
            height_shift_range=height,
            width_shift_range=width,
            horizontal_flip=flips,
            vertical_flip=flips,
        )
        yield name, "report", None, "", partial(_moved, settings)
    for turn in (10, 25, 45, 90, 180):
        yield (
            f"rotation up to {turn}°",
            "rotation",
            turn,
            "degrees, at most",
            partial(_moved, Augmentation(rotation_range=turn)),
        )
    for shift in (0.05, 0.1, 0.2, 0.4):
        settings = Augmentation(width_shift_range=shift, height_shift_range=shift)
        yield f"shifts up to {shift}", "shift", shift, "share of the side, at most", partial(_moved, settings)
    for factor in (0.25, 0.5, 0.75, 1.5, 2.0):
        yield f"brightness x {factor:g}", "brightness", factor, "factor", partial(_brightened, factor)
    for factor in (0.5, 0.75, 1.5, 2.0):
        # ImageDataGenerator's zoom is of the view: twice the view shows things at half their size.
        settings = Augmentation(zoom_range=(1 / factor, 1 / factor), fill_mode="reflect")
        yield f"scale x {factor:g}", "scale", factor, "size of things, factor", partial(_moved, settings)
    for sigma in (0.5, 1.0, 2.0, 4.0):
        yield f"blur {sigma:g} px", "blur", sigma, "standard deviation, pixels", partial(_blurred, sigma)
    for quality in (50, 25, 10, 5):
        yield f"JPEG quality {quality}", "JPEG quality", quality, "quality", partial(_compressed, quality)
    for noise in (5, 10, 20, 40):
        yield f"noise {noise}", "noise", noise, "standard deviation, grey levels", partial(_noisy, noise)


def curves(rows: Sequence[Row]) -> dict[str, list[tuple[float, float]]]:
    """Top-1 by amount for each kind, ascending; where doing nothing is an amount of that kind, with that point too."""
    nothing = {
        "rotation": 0.0,
        "shift": 0.0,
        "brightness": 1.0,
        "scale": 1.0,
        "blur": 0.0,
        "JPEG quality": 100.0,
        "noise": 0.0,
    }
    lines = {kind: [(at, rows[0].top1.value)] for kind, at in nothing.items()}
    for row in rows:
        if row.amount is not None:
            lines[row.kind].append((row.amount, row.top1.value))
    return {kind: sorted(points) for kind, points in lines.items()}


def _row(
    name: str, kind: str, amount: float | None, unit: str, answers: NDArray[np.float32], targets: NDArray[np.int64]
) -> Row:
    top1, top5 = (metrics.share(int(metrics.right_within(answers, targets, k).sum()), len(targets)) for k in (1, TOP))
    return Row(name, kind, amount, unit, top1, top5 if answers.shape[1] > TOP else None)


def _moved(settings: Augmentation, photos: Photos, rng: np.random.Generator) -> Photos:
    count, height, width = photos.shape[:3]
    return prepare(photos, np.arange(count), draw(settings, height, width, count, rng), settings)(slice(None))


def _brightened(factor: float, photos: Photos, _: np.random.Generator) -> Photos:
    return np.asarray(np.clip(np.rint(photos * np.float32(factor)), 0, 255), dtype=np.uint8)


def _blurred(sigma: float, photos: Photos, _: np.random.Generator) -> Photos:
    return np.stack([cv2.GaussianBlur(photo, (0, 0), sigma) for photo in photos]).reshape(photos.shape)


def _compressed(quality: int, photos: Photos, _: np.random.Generator) -> Photos:
    read = cv2.IMREAD_COLOR if photos.shape[3] == 3 else cv2.IMREAD_GRAYSCALE
    # OpenCV takes the channels for blue, green, red; JPEG weighs them differently, so they are turned for it and back.
    coded = [cv2.imencode(".jpg", photo[:, :, ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))[1] for photo in photos]
    decoded = [np.asarray(cv2.imdecode(code, read), dtype=np.uint8).reshape(photos.shape[1:]) for code in coded]
    return np.stack(decoded)[..., ::-1]


def _noisy(deviation: float, photos: Photos, rng: np.random.Generator) -> Photos:
    noise = rng.normal(0, deviation, photos.shape).astype(np.float32)
    return np.asarray(np.clip(np.rint(photos + noise), 0, 255), dtype=np.uint8)
