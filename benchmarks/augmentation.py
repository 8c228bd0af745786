"""Photos per second of the augmentation engines, side by side: `python -m benchmarks.augmentation`.

Rotation by up to 90 degrees, shifts by up to 0.2 of the size and both flips. Every figure is taken in a process of its
own, bound to as many cores as it has threads, and is the median of several rounds, which the engines take in turn. The
ratios are those of `fast`:

- to the real ImageDataGenerator on one thread, which is how it runs unless told otherwise,
- to tf.data with Keras' preprocessing layers, and to Albumentations, on equal threads,
- to the limit: bare calls of `cv2.warpAffine` on bytes, with matrices made before, on equal threads.

At the end stands the memory of a process that has made two epochs of batches, and that it has after many more.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle
from multiprocessing import get_context
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.needs import need
from foodscene.training.recipes.augmentation import Augmentation

Pixels = NDArray[np.uint8]

SETTINGS = Augmentation(
    rotation_range=90, width_shift_range=0.2, height_shift_range=0.2, horizontal_flip=True, vertical_flip=True
)
PHOTOS, REPEATS, BATCH, ROUNDS, EPOCHS = 512, 60, 64, 5, 10

_begun: list[Iterator[int]] = []  # the one engine of this process


def fast(pixels: Pixels, threads: int) -> Iterator[int]:
    """Foodscene's pipeline, batches and labels and all."""
    while True:
        yield from epoch(pixels, threads)


def epoch(pixels: Pixels, threads: int) -> Iterator[int]:
    """The batches of one epoch of the pipeline: 30,720 photos, about as many as UECFOOD-256 has."""
    from foodscene.training.loop.batches import Batches

    labels, many = np.zeros(len(pixels), np.int64), np.tile(np.arange(len(pixels)), REPEATS)
    batches = Batches(
        pixels, labels, many, classes=10, batch_size=BATCH, augmentation=SETTINGS, shuffle=True, threads=threads
    )
    yield from (len(photos) for photos, _ in batches)


def keras(pixels: Pixels, threads: int) -> Iterator[int]:
    """The real ImageDataGenerator and its own iterator, which several threads ask for batches."""
    from foodscene.training.augmentation.reference import generator

    batches = generator(SETTINGS).flow(pixels, np.zeros(len(pixels)), batch_size=BATCH)
    yield from _threaded(lambda number: len(batches[number % len(batches)][0]), threads)


def tf_data(pixels: Pixels, threads: int) -> Iterator[int]:
    """`tf.data` with Keras' preprocessing layers on batches."""
    import tensorflow as tf
    from keras import layers

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    alter = [
        layers.RandomRotation(90 / 360, fill_mode="nearest"),
        layers.RandomTranslation(0.2, 0.2, fill_mode="nearest"),
        layers.RandomFlip("horizontal_and_vertical"),
    ]

    def altered(photos: Any) -> Any:
        for layer in alter:
            photos = layer(photos, training=True)
        return photos

    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    dataset = tf.data.Dataset.from_tensor_slices(pixels).repeat().batch(BATCH).with_options(options)
    for photos in dataset.map(altered, num_parallel_calls=threads).prefetch(2):
        yield len(photos)


def albumentations(pixels: Pixels, threads: int) -> Iterator[int]:
    """Albumentations, a photo at a time, in threads."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations as a
    import cv2

    cv2.setNumThreads(0)
    alter = a.Compose(
        [
            a.Affine(rotate=(-90, 90), translate_percent=(-0.2, 0.2), border_mode=cv2.BORDER_REPLICATE, p=1),
            a.HorizontalFlip(p=0.5),
            a.VerticalFlip(p=0.5),
        ]
    )

    def batch(number: int) -> int:
        start = number * BATCH % len(pixels)
        return len(np.stack([alter(image=photo)["image"] for photo in pixels[start : start + BATCH]]))

    yield from _threaded(batch, threads)


def bare(pixels: Pixels, threads: int) -> Iterator[int]:
    """Nothing but `cv2.warpAffine`, from bytes to bytes that are there already."""
    import cv2

    from foodscene.training.augmentation.draws import draw, matrices

    cv2.setNumThreads(0)
    size = pixels.shape[2], pixels.shape[1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    maps = list(matrices(draw(SETTINGS, *pixels.shape[1:3], BATCH, np.random.default_rng(0)), *pixels.shape[1:3]))
    outs = [np.empty((BATCH, *pixels.shape[1:]), np.uint8) for _ in range(2 * threads)]

    def batch(number: int) -> int:
        start = number * BATCH % len(pixels)
        for photo, affine, out in zip(pixels[start : start + BATCH], maps, outs[number % len(outs)], strict=True):
            cv2.warpAffine(photo, affine, size, out, flags, cv2.BORDER_REPLICATE)
        return BATCH

    yield from _threaded(batch, threads)


ENGINES: dict[str, Callable[[Pixels, int], Iterator[int]]] = {
    "fast": fast,
    "bare": bare,
    "keras": keras,
    "tf.data": tf_data,
    "albumentations": albumentations,
}


def _threaded(batch: Callable[[int], int], threads: int) -> Iterator[int]:
    """Run `batch(0)`, `batch(1)` … in threads, two ahead for each."""
    with ThreadPoolExecutor(threads) as pool:
        pending = [pool.submit(batch, number) for number in range(2 * threads)]
        for slot in cycle(range(2 * threads)):
            done = pending[slot].result()
            pending[slot] = pool.submit(batch, slot)
            yield done


def begin(engine: str, size: int, threads: int) -> None:
    """Start an engine. To be called in a fresh process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:threads]))
    _begun.append(ENGINES[engine](_photos(size), threads))
    next(_begun[0])


def measure(seconds: float) -> float:
    """Photos per second of the engine that this process has begun, after a quarter of the time to warm up."""
    steps = _begun[0]
    warm_up = time.perf_counter() + seconds / 4
    while time.perf_counter() < warm_up:
        next(steps)
    start, photos = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        photos += next(steps)
    return photos / passed


def side_by_side(size: int, threads: int, seconds: float) -> dict[str, float]:
    """Each engine's photos per second: the median of rounds that are taken in turn, as machines change their speed."""
    with ExitStack() as stack:
        processes = {name: stack.enter_context(get_context("spawn").Pool(1)) for name in ENGINES}
        for name, process in processes.items():
            process.apply(begin, (name, size, threads))
        rounds = [[one.apply(measure, (seconds,)) for one in processes.values()] for _ in range(ROUNDS)]
    return dict(zip(ENGINES, np.median(rounds, axis=0).tolist(), strict=True))


def memory(size: int, threads: int) -> tuple[float, float]:
    """The most megabytes in use up to the second epoch's end and up to the last one's. To be called likewise."""
    pixels, peaks = _photos(size), []
    for number in range(EPOCHS):
        for _ in epoch(pixels, threads):
            pass
        if number in {1, EPOCHS - 1}:
            peaks.append(
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
            )
    return peaks[0], peaks[1]


def _photos(size: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (PHOTOS, size, size, 3), dtype=np.uint8)


def main(
    sizes: Annotated[str, typer.Option(help="Pixels a side.")] = "48,128,224",
    threads: Annotated[str, typer.Option(help="Numbers of threads.")] = "1,2,4",
    seconds: Annotated[float, typer.Option(help="Of each of the five rounds of each figure.")] = 1.0,
) -> None:
    need("albumentations", "cv2", "scipy", "tensorflow")
    counts = [int(count) for count in threads.split(",")]
    columns = [*ENGINES, *(f"/ {name}" for name in ("keras, 1", "tf.data", "albument.", "bare"))]
    print("px threads" + "".join(f"{name:>15}" for name in columns))
    for size in map(int, sizes.split(",")):
        one_thread = 0.0
        for count in counts:
            speed = side_by_side(size, count, seconds)
            one_thread = one_thread or speed["keras"]
            against = [one_thread, speed["tf.data"], speed["albumentations"], speed["bare"]]
            figures = [f"{one:,.0f}" for one in speed.values()] + [f"{speed['fast'] / one:.2f}x" for one in against]
            print(f"{size:<3}{count:7}" + "".join(f"{figure:>15}" for figure in figures), flush=True)
        with get_context("spawn").Pool(1) as process:
            before, after = process.apply(memory, (size, counts[-1]))
        print(f"memory of `fast`, at most: {before:.0f} MB in 2 epochs, {after:.0f} MB in {EPOCHS}", flush=True)


if __name__ == "__main__":
    typer.run(main)
