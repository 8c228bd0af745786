"""The training loop against what it could be: `python -m benchmarks.training [--photos 600] [--only cache] …`.

Prints, from one run on one machine, both sides and their ratio:

- `bar`: an epoch with the progress bar against one without (at most 1.01),
- `cache`: five epochs of a frozen VGG16 at 128 px on cached features against running the backbone every epoch (at
  least 4),
- `loop`: photos per second of the loop, augmentation and all, against `model.fit` of the same network on arrays in
  memory without augmentation, for the report's row A14 (at least 0.9 on the CPU),
- `dense`: the same for a network as small as those for MNIST, 768-128-10 in batches of 16, without augmentation,
- `vgg16`: VGG16 at 128 px on augmented photos, its backbone frozen and then fine-tuned, against the same steps on one
  batch that is there already: what is missing is the share of the time that the device waits for photos.

The photos are noise: nothing is learned, only timed. On a GPU, for example:

    python -m benchmarks.training --only vgg16 --photos 20000 --batch-size 128 --precision mixed_bfloat16
"""

import argparse
import statistics
import tempfile
import time
from io import StringIO
from pathlib import Path
from unittest import mock

from benchmarks.needs import need

need("keras", "tensorflow")

import keras
import numpy as np
from rich.console import Console

from foodscene.training import networks
from foodscene.training.augmentation import standardization
from foodscene.training.data.load import Data
from foodscene.training.loop import feeds, loop
from foodscene.training.loop.batches import Batch, Batches
from foodscene.training.loop.photo_feed import PhotoFeed
from foodscene.training.loop.progress import Both, Terminal
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.runs import run
from foodscene.training.runs.run import Row

CLASSES = 10
PARTS = ("bar", "cache", "loop", "dense", "vgg16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--batch-size", type=int, default=32, help="of vgg16")
    parser.add_argument("--precision", default="float32", help="of vgg16: mixed_bfloat16, say")
    arguments = parser.parse_args()
    photos, only = arguments.photos, arguments.only or PARTS
    if "bar" in only:
        progress_bar(photos * 10)
    if "cache" in only:
        cached_features(photos * 2)
    if "loop" in only:
        loop_against_memory("A14", recipes.load("food/standardized-4x128", ["training.epochs=3"]), noise(photos, 128))
    if "dense" in only:
        small = recipes.load("mnist/softmax", ["input.size=16", "input.channels=3", "training.epochs=4"])
        loop_against_memory("768-128-10", small, noise(photos * 120, 16))
    if "vgg16" in only:
        waiting(photos, arguments.batch_size, arguments.precision)


def progress_bar(photos: int) -> None:
    recipe = recipes.load("food/benchmark", ["input.size=32", "training.epochs=5", "training.batch_size=16"])
    data = noise(photos, 32)
    without, drawn = [], []
    for _ in range(3):  # by turns, so that what else the machine does falls on both
        without.append(statistics.median(row["seconds"] for row in train(recipe, data, Both())[1:]))
        terminal = Terminal(Console(file=StringIO(), force_terminal=True, width=120))
        drawn.append(statistics.median(row["seconds"] for row in train(recipe, data, terminal)[1:]))
    show("an epoch with the progress bar, seconds", min(drawn), "without", min(without), min(drawn) / min(without))


def cached_features(photos: int) -> None:
    recipe = recipes.load("food/vgg16-128", ["training.epochs=5"])
    data = noise(photos, 128)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    # In turns, each without the cache between two with it: a machine that others share changes its speed.
    for cacheable in (True, False, True, False, True, False, True):
        with mock.patch.object(feeds, "cacheable", return_value=cacheable):
            began, clock = time.perf_counter(), Clock()
            train(recipe, data, clock)
            seconds[cacheable].append(clock.ended - began)
    cached, plain = (statistics.median(seconds[cacheable]) for cacheable in (True, False))
    show("five frozen epochs of VGG16, seconds", plain, "on cached features", cached, plain / cached)


def loop_against_memory(name: str, recipe: Recipe, data: Data) -> None:
    ours = max(row["photos_per_second"] for row in train(recipe, data, Both())[1:])
    layers = standardization.layers(recipe.augmentation, data.pixels, data.train)
    model = networks.build(recipe, CLASSES, layers)
    model.compile(recipe.optimizer.name, "categorical_crossentropy", metrics=["accuracy"])
    x, y = data.pixels[data.train].astype(np.float32), np.eye(CLASSES)[data.labels[data.train]]
    speeds = []
    for _ in range(3):
        began = time.perf_counter()
        model.fit(x, y, batch_size=recipe.training.batch_size, verbose=0)
        speeds.append(len(x) / (time.perf_counter() - began))
    show(f"the loop on {name}, photos per second", ours, "fit from memory", max(speeds[1:]), ours / max(speeds[1:]))


def waiting(photos: int, batch_size: int, precision: str) -> None:
    options = [f"training.batch_size={batch_size}", f"training.precision={precision}"]
    recipe = recipes.load("food/vgg16-finetuned", [*options, "training.epochs=2", "finetune.epochs=2"])
    data = noise(photos, 128)
    rows = train(recipe, data, Both())
    fed = {row["phase"]: row["photos_per_second"] for row in rows}  # of the last epoch of each: the first one compiles
    feed = PhotoFeed.training
    with mock.patch.object(PhotoFeed, "training", lambda self, epoch: Resident(feed(self, epoch))):
        there = {row["phase"]: row["photos_per_second"] for row in train(recipe, data, Both())}
    for phase, title in (("train", "frozen"), ("finetune", "fine-tuned")):
        name = f"VGG16 at 128 px, {title}, {precision}, photos per second"
        show(name, fed[phase], "on a batch that is there", there[phase], fed[phase] / there[phase])
        print(f"  waits for photos {100 * max(0.0, 1 - fed[phase] / there[phase]):.1f} % of the time")


class Resident(keras.utils.PyDataset):
    """The first of some batches, as often as there are batches."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batch, self._count = batches[0], len(batches)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Batch:
        return self._batch


class Clock(Both):
    """Knows when the last epoch ended: the photos that are measured after it are no part of the training."""

    ended = 0.0

    def end(self, row: Row, epochs: int) -> None:  # noqa: ARG002
        self.ended = time.perf_counter()


def train(recipe: Recipe, data: Data, watch: Both) -> list[Row]:
    """The epochs of a training."""
    keras.utils.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        return loop.train(recipe, data, run.create(Path(folder) / "run", {}), watch, weights="none").history


def noise(count: int, size: int) -> Data:
    rng = np.random.default_rng(0)
    rows = np.arange(count)
    return Data(
        name="noise",
        layout="folder",
        classes=tuple(map(str, range(CLASSES))),
        fingerprint="",
        names=[str(row) for row in rows],
        pixels=rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8),
        labels=rows % CLASSES,
        train=rows[: int(count * 0.8)],
        validation=rows[int(count * 0.8) : int(count * 0.95)],
        test=rows[int(count * 0.95) :],
        dropped=0,
    )


def show(one: str, value: float, other: str, limit: float, ratio: float) -> None:
    print(f"{one}: {value:.2f}   {other}: {limit:.2f}   ratio {ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()
