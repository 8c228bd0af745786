"""The photos of a data set as batches: what both training loops learn from and measure on."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foodscene.training.augmentation import AugmentationEngine
from foodscene.training.data.load import Data
from foodscene.training.loop.batches import Batches
from foodscene.training.loop.teacher import Teacher
from foodscene.training.recipes.augmentation import Augmentation
from foodscene.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras


def part_of_pass(indices: NDArray[np.int64], epoch: int, epochs: int, seed: int) -> NDArray[np.int64]:
    """What of `indices` epoch number `epoch`, from 0 on, sees where a pass over all of them takes so many `epochs`.

    The first parts are the larger ones, where they are not equal.
    """
    if epochs == 1:
        return indices
    number, part = divmod(epoch, epochs)
    shuffled = np.random.default_rng((seed, epochs, number)).permutation(indices)
    return np.sort(np.array_split(shuffled, epochs)[part])


class PhotoFeed:
    """The photos of a data set as batches of raw pixels 0-255 and one-hot labels."""

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        engine: AugmentationEngine,
        threads: int | None,
        teacher: Teacher | None = None,
        outliers: NDArray[np.uint8] | None = None,
    ) -> None:
        self._recipe, self._data, self._engine, self._threads = recipe, data, engine, threads
        self.teacher, self._outliers = teacher, outliers

    def training(self, epoch: int) -> Batches:
        """Shuffled and augmented, for epoch number `epoch` from 0 on; with the teacher's answers, if any."""
        settings = self._recipe
        indices = part_of_pass(self._data.train, epoch, settings.training.epochs_per_pass, settings.seed)
        return self._batches(indices, augmentation=settings.augmentation, epoch=epoch, training=True)

    def validation(self) -> Batches:
        """As they are, in their order."""
        return self.plain(self._data.validation)

    def plain(self, indices: NDArray[np.int64]) -> Batches:
        """The photos `indices` as they are, in that order."""
        return self._batches(indices)

    def predict(self, model: "keras.Model", indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """The probabilities that a Keras model gives the photos `indices`, shape (n, classes)."""
        from foodscene.training.loop import backend

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
            outlier_photos=self._outliers if training else None,
            teacher=self.teacher if training else None,
        )
