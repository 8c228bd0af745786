"""The photos of a training, split by split, as the loop takes them; `training.loop.feeds` may take their place."""

import keras
import numpy as np
from numpy.typing import NDArray

from foodscene.training.augmentation import Augmentation, Engine
from foodscene.training.data.load import Data
from foodscene.training.loop import backend
from foodscene.training.loop.batches import Batches
from foodscene.training.loop.teacher import Teacher
from foodscene.training.recipes.recipe import Recipe


class Photos:
    """The photos of a data set as batches of raw pixels 0-255 and one-hot labels."""

    def __init__(
        self, recipe: Recipe, data: Data, engine: Engine, threads: int | None, teacher: Teacher | None = None
    ) -> None:
        self._recipe, self._data, self._engine, self._threads = recipe, data, engine, threads
        self.teacher = teacher

    def training(self, epoch: int) -> Batches:
        """Shuffled and augmented as befits epoch number `epoch`, counted from 0; with the teacher's answers, if any."""
        return self._batches(self._data.train, augmentation=self._recipe.augmentation, epoch=epoch, training=True)

    def validation(self) -> Batches:
        """As they are, in their order."""
        return self._batches(self._data.validation)

    def predict(self, model: keras.Model, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """The probabilities that a model gives the photos `indices`, shape (n, classes)."""
        if not len(indices):
            return np.empty((0, len(self._data.classes)), np.float32)
        return backend.predict(model, self._batches(indices), len(indices))

    def _batches(
        self,
        indices: NDArray[np.int64],
        *,
        augmentation: Augmentation | None = None,
        epoch: int = 0,
        training: bool = False,
    ) -> Batches:
        settings = self._recipe.training
        return Batches(
            self._data.pixels,
            self._data.labels,
            indices,
            classes=len(self._data.classes),
            batch_size=settings.batch_size,
            augmentation=augmentation,
            engine=self._engine,
            seed=self._recipe.seed,
            shuffle=training,
            threads=self._threads,
            epoch=epoch,
            mixup=settings.mixup if training else 0,
            outliers=settings.outliers if training else 0,
            teacher=self.teacher if training else None,
        )
