"""The decoded cache: how fast it is built and read, and what memory that takes: `python -m benchmarks.cache [PATH]`.

Side by side in one run, on the same photos and at the same size: one loop with Pillow, threads, and the cache on every
number of processes up to the number of cores. Then epochs read back in random order, and the peak memory of building
with 1x, 2x and 4x the photos. Without a PATH, on made-up photos of 640 x 480.
"""

import os
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from benchmarks.needs import need

need("scipy")

from foodscene.models.pixels import InputSpec
from foodscene.training.data import cache, survey
from foodscene.training.datasets import Dataset, open_dataset


def pillow(dataset: Dataset, spec: InputSpec) -> None:
    """The usual loop: open, convert, resize, keep the array."""
    for sample in dataset.samples:
        with Image.open(BytesIO(sample.read())) as image:
            np.asarray(image.convert("RGB").resize((spec.width, spec.height), Image.Resampling.BILINEAR))


def threads(dataset: Dataset, spec: InputSpec) -> None:
    """What the cache would do on threads in place of processes, less the writing."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda sample: sample.pixels(spec), dataset.samples):
            pass


def epoch(built: cache.Cache, order: np.ndarray) -> None:
    """Every photo once, in random order, in batches of 64, as training reads them."""
    for start in range(0, len(order), 64):
        built.pixels.take(order[start : start + 64], axis=0)


def peak_memory(dataset: Dataset, spec: InputSpec, answer: Connection) -> None:
    """Build with workers, then again within this process; send the most MB that it had after each."""
    peaks = []
    for workers in (None, 1):
        with tempfile.TemporaryDirectory() as root:
            cache.build(dataset, spec, root=Path(root), workers=workers)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    answer.send(peaks)


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def made_up(folder: Path, count: int) -> Path:
    """A zip of photos as a phone's, scaled down; ten different ones, each many times."""
    photos = []
    for seed in range(10):
        target = BytesIO()
        noise = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC).save(target, "JPEG", quality=88)
        photos.append(target.getvalue())
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for number in range(count):
            archive.writestr(f"{number % 2}/{number}.jpg", photos[number % 10])
    return folder / "photos.zip"


def main(
    path: Annotated[Path | None, typer.Argument(help="A folder of photos, or an archive as downloaded.")] = None,
    size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 128,
    photos: Annotated[int, typer.Option(help="How many photos to take at most.")] = 4000,
) -> None:
    """Print photos per second and ratios."""
    spec = InputSpec(size, size)
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_dataset(path or made_up(Path(folder), photos))
        dataset = replace(dataset, samples=dataset.samples[:photos])
        count, cores = len(dataset.samples), os.cpu_count() or 1
        print(f"{count} photos of {dataset.name} to {size} x {size}, {cores} cores")

        # First, because a new process inherits the peak of the one that starts it.
        for part in (4, 2, 1):
            some = replace(dataset, samples=dataset.samples[: count // part])
            receive, send = get_context("spawn").Pipe()
            process = get_context("spawn").Process(target=peak_memory, args=(some, spec, send))
            process.start()
            parent, alone = receive.recv()
            process.join()
            array = np.prod([len(some.samples), *spec.shape]) / 1e6
            print(
                f"building with {len(some.samples)} photos ({array:.0f} MB of pixels): at most {parent:.0f} MB beside "
                f"workers, {alone:.0f} MB where one process does everything"
            )

        baseline = count / seconds(lambda: pillow(dataset, spec))
        print(f"{'one Pillow loop':24}{baseline:9.0f} photos/s   1.00x")
        speed = count / seconds(lambda: threads(dataset, spec))
        print(f"{f'{cores} threads':24}{speed:9.0f} photos/s {speed / baseline:6.2f}x")
        for workers in sorted({1, 2, cores}):
            root = Path(folder) / f"cache-{workers}"
            speed = count / seconds(lambda: cache.build(dataset, spec, root=root, workers=workers))  # noqa: B023
            print(f"{f'cache, {workers} processes':24}{speed:9.0f} photos/s {speed / baseline:6.2f}x")
        speed = count / seconds(lambda: survey.survey(dataset, root=Path(folder)))
        print(f"{f'survey, {cores} processes':24}{speed:9.0f} photos/s {speed / baseline:6.2f}x")

        built = cache.build(dataset, spec, root=root)
        order = np.random.default_rng(0).permutation(len(built.names))
        epoch(built, order)
        epochs = 1 / min(seconds(lambda: epoch(built, order)) for _ in range(3))
        print(f"read back: {epochs:.1f} epochs/s, {epochs * count:.0f} photos/s, {epochs * count / baseline:.0f}x")


if __name__ == "__main__":
    typer.run(main)
