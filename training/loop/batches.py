"""The input pipeline: cached photos -> altered photos -> batches, for either training loop."""

import math
import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.training.augmentation import AugmentationEngine, fast
from foodscene.training.augmentation.draws import Draws, draw
from foodscene.training.augmentation.mixup import mix
from foodscene.training.augmentation.outlier_exposure import add
from foodscene.training.loop.teacher import Teacher
from foodscene.training.recipes.augmentation import Augmentation

Batch = tuple[NDArray[np.uint8] | NDArray[np.float32], NDArray[np.float32]]
"""Photos of shape (n, height, width, channels), values 0-255, and one-hot labels of shape (n, classes)."""

EpochPhotos = Callable[[slice], NDArray[Any]]
"""Makes a slice of an epoch's photos."""

_WHOLE = 2**26  # bytes of photos that an epoch may have to be handed over in one piece
_AHEAD = 2  # batches that wait to be taken, beside those that the threads work on


class Batches:
    """Batches of altered photos, made ahead of their use by worker threads.

    The order and what is drawn for a photo follow from `seed`, `epoch` and the photo's place in `indices` alone, not
    from the number of threads nor from what was asked for before. So a run that is taken up again sees what an unbroken
    one would. These are the batches of one epoch; whoever trains sets `epoch` or makes the next ones, as Keras also
    reads batches to learn their shapes and gives a data set no sure sign that it trains on them.

    Photos are uint8 from the `fast` engine (a quarter of the copying; a Keras model casts them to its input's float32)
    and unrounded float32 from the `keras` engine. Backends may keep or alias a batch: its memory is used again only
    when nobody holds any part of it.
    """

    def __init__(  # noqa: PLR0913
        self,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int64],
        indices: NDArray[np.int64],
        *,
        classes: int,
        batch_size: int,
        augmentation: Augmentation | None = None,
        engine: AugmentationEngine = "fast",
        seed: int = 0,
        shuffle: bool = False,
        threads: int | None = None,
        epoch: int = 0,
        mixup: float = 0.0,
        outliers: float = 0.0,
        outlier_photos: NDArray[np.uint8] | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """Batches of `pixels[indices]`; `pixels` is uint8 of shape (n, height, width, channels), often a memory map.

        `labels` holds the class of every photo of `pixels`. Without `augmentation` photos come as they are. `threads`
        work ahead: as many as there are cores where it is None. `mixup` is the alpha of `augmentation.mixup`;
        `outliers` is the share of `augmentation.outlier_exposure` that a batch has beside its photos, 0 for none; half
        of them are taken from `outlier_photos`, of the shape of `pixels`, where there are such. A
        `teacher` answers for the photos, altered and mixed as they are, in place of their labels.
        """
        self.epoch = epoch
        self._pixels = np.asarray(pixels)  # rows of a plain array are much cheaper to take than those of a memmap
        self._labels, self._indices = labels, indices
        self._one_hot, self._batch_size = np.eye(classes, dtype=np.float32), batch_size
        self._augmentation = augmentation if augmentation and augmentation.alters else None
        self._engine = _prepare(engine)
        self._seed, self._shuffle, self._threads = seed, shuffle, threads or os.cpu_count() or 1
        self._mixup, self._outliers, self._teacher = mixup, outliers, teacher
        self._outlier_photos = outlier_photos
        self._running: _Ahead | None = None

    def __len__(self) -> int:
        return math.ceil(len(self._indices) / self._batch_size)

    @property
    def photos(self) -> int:
        """How many there are in all batches together."""
        return len(self._indices)

    def __getitem__(self, index: int) -> Batch:
        """Batch `index`; the last one may be smaller."""
        if not 0 <= index < len(self):
            raise IndexError(f"There is no batch {index}; an epoch has {len(self)}.")
        ahead = self._running and self._running.take(index)
        return ahead.result() if ahead else self._epoch()(index)

    def __iter__(self) -> Generator[Batch, None, None]:
        self.on_epoch_begin()
        try:
            yield from map(self.__getitem__, range(len(self)))
        finally:
            self.on_epoch_end()

    def whole(self) -> Batch | None:
        """The epoch as one `Batch`, photos uint8, in the order of its batches; None where these are to be asked for.

        That is where photos are altered or a teacher is asked, which is done while others are trained on, and where
        they take over 64 MiB. Keras cuts arrays into batches in less time than it takes to ask a data set for one.
        """
        made = self._augmentation or self._mixup or self._outliers or self._teacher
        if made or len(self._indices) * self._pixels[:1].nbytes > _WHOLE:
            return None
        which = self._indices[self._order(np.random.default_rng((self._seed, self.epoch)))]
        return self._pixels[which], self._one_hot[self._labels[which]]

    def on_epoch_begin(self) -> None:
        """Start the threads. Keras calls this, or who goes through the batches."""
        self.on_epoch_end()
        self._running = _Ahead(self._epoch(), len(self), self._threads)

    def on_epoch_end(self) -> None:
        """Let the threads and all that they made go; call it where an epoch is broken off. Keras calls it otherwise.

        Keras' TensorFlow backend never frees a data set and goes on to ask for batches. Then they are made one by one.
        """
        if self._running:
            self._running.stop()
        self._running = None

    def _epoch(self) -> Callable[[int], Batch]:
        """What makes the batch of a given number in this epoch."""
        rng = np.random.default_rng((self._seed, self.epoch))
        height, width = self._pixels.shape[1:3]
        order = self._order(rng)
        which = self._indices[order]
        if not self._augmentation:
            return partial(self._make, which, lambda part: self._pixels[which[part]])
        draws = draw(self._augmentation, height, width, len(order), rng)[order]
        return partial(self._make, which, self._engine(self._pixels, which, draws, self._augmentation))

    def _order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """The places in `indices`, one after the other as this epoch takes them."""
        count = len(self._indices)
        return rng.permutation(count) if self._shuffle else np.arange(count)

    def _make(self, which: NDArray[np.int64], photos: EpochPhotos, index: int) -> Batch:
        part = slice(index * self._batch_size, (index + 1) * self._batch_size)
        labels = self._one_hot[self._labels[which[part]]]
        batch = photos(part), labels
        if not (self._mixup or self._outliers or self._teacher):
            return batch
        rng = np.random.default_rng((self._seed, self.epoch, index))
        if self._mixup:
            batch = mix(*batch, self._mixup, rng)
        if self._teacher:
            batch = batch[0], self._teacher.answer(batch[0])
        if not self._outliers:
            return batch
        found = None if self._outlier_photos is None else partial(self._altered, self._outlier_photos)
        return add(*batch, self._outliers, rng, found)

    def _altered(self, photos: NDArray[np.uint8], count: int, rng: np.random.Generator) -> NDArray[Any]:
        """Some of `photos`, drawn and altered as the training photos are."""
        which = rng.integers(len(photos), size=count)
        if not self._augmentation:
            return photos[which]
        height, width = photos.shape[1:3]
        draws = draw(self._augmentation, height, width, count, rng)
        altered: NDArray[Any] = self._engine(photos, which, draws, self._augmentation)(slice(None))
        return altered


def _prepare(
    engine: AugmentationEngine,
) -> Callable[[NDArray[np.uint8], NDArray[np.int64], Draws, Augmentation], EpochPhotos]:
    if engine == "fast":
        return fast.prepare
    from foodscene.training.augmentation import reference  # Keras' own

    return reference.prepare


class _Ahead:
    """Threads that make the batches after the one that is taken."""

    def __init__(self, make: Callable[[int], Batch], count: int, threads: int) -> None:
        self._make, self._count = make, count
        self._ahead = threads + _AHEAD
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
        self._pending: dict[int, Future[Batch]] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def take(self, index: int) -> Future[Batch] | None:
        """Batch `index`, begun at the latest now as are the next ones; none where the threads have been stopped."""
        with self._lock:
            if self._stopped:
                return None
            wanted = range(index, min(index + 1 + self._ahead, self._count))
            for passed in self._pending.keys() - set(wanted):
                self._pending.pop(passed).cancel()
            for one in wanted:
                if one not in self._pending:
                    self._pending[one] = self._pool.submit(self._make, one)
            return self._pending.pop(index)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._pending.clear()
        self._pool.shutdown(wait=False)
