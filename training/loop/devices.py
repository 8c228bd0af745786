"""Several GPUs of one machine: each computes an equal part of every batch, through Keras' distribution API.

Keras implements that API for JAX alone; on its other backends a process trains on one GPU.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError


class DevicesError(FoodsceneError, ValueError):
    """A batch that cannot be shared out. Its text says which size can."""


@contextlib.contextmanager
def shared(batch_size: int) -> Iterator[None]:
    """Within, what is built and trained is on all devices of this machine, where the backend can do that.

    Raises `DevicesError` where a batch cannot be divided among them.
    """
    names = keras.distribution.list_devices()
    if keras.backend.backend() != "jax" or len(names) == 1:
        yield
        return
    if batch_size % len(names):
        near = max(1, round(batch_size / len(names))) * len(names)
        raise DevicesError(
            f"Batches of {batch_size} photos cannot be shared equally by {len(names)} devices. "
            f"Try --set training.batch_size={near}."
        )
    with keras.distribution.DataParallel(devices=names, auto_shard_dataset=False).scope():
        yield


def count() -> int:
    """How many devices share each batch at present."""
    distribution = keras.distribution.distribution()
    return int(distribution.device_mesh.devices.size) if distribution else 1


def even(batches: Any) -> keras.utils.PyDataset:
    """The batches for Keras, the last filled up so that all devices get as many photos: with some of its own again."""
    return _Even(batches, count())


class _Even(keras.utils.PyDataset):  # type: ignore[misc]
    def __init__(self, batches: Any, parts: int) -> None:
        super().__init__(workers=1)  # batches that take time to make have threads of their own
        self._batches, self._parts = batches, parts

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        photos, targets = self._batches[index]
        size = len(photos)
        if size % self._parts == 0:
            return photos, targets
        which = np.arange(size + -size % self._parts) % size
        return photos[which], targets[which]

    def on_epoch_begin(self) -> None:
        self._batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._batches.on_epoch_end()
