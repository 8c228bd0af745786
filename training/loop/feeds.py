"""What the loop trains on: the photos of a data set as batches, or a frozen backbone's features of them.

The features are computed once; the head then trains on them as if on the photos.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from foodscene.training.augmentation import AugmentationEngine
from foodscene.training.data.load import Data
from foodscene.training.loop import backend
from foodscene.training.loop.batches import Batches
from foodscene.training.loop.teacher import Teacher
from foodscene.training.recipes.augmentation import Augmentation
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.recipes.sections import Transfer

_WHOLE = 2**28  # bytes of features that an epoch may have to be handed over in one piece


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
            outlier_photos=self._outliers if training else None,
            teacher=self.teacher if training else None,
        )


class FeatureBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of features, float32 of shape (n, features), and one-hot labels, in a given order."""

    def __init__(
        self, features: NDArray[np.float32], targets: NDArray[np.float32], batch_size: int, order: NDArray[np.int64]
    ) -> None:
        super().__init__()
        self._features, self._targets, self._batch_size, self._order = features, targets, batch_size, order

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._features[chosen], self._targets[chosen]

    def whole(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """The epoch as one batch; None where it takes over 256 MiB, of which Keras makes a copy."""
        if len(self._order) * self._features[:1].nbytes > _WHOLE:
            return None
        return self._features[self._order], self._targets[self._order]


class Part(NamedTuple):
    """The features and one-hot labels of a split."""

    features: NDArray[np.float32]
    targets: NDArray[np.float32]


class FeatureFeed:
    """The features of a data set's training and validation photos, as batches."""

    def __init__(self, training: Part, validation: Part, batch_size: int, seed: int) -> None:
        self._training, self._validation, self._batch_size, self._seed = training, validation, batch_size, seed

    def training(self, epoch: int) -> FeatureBatches:
        """Shuffled for epoch number `epoch`, counted from 0."""
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._training.features))
        return FeatureBatches(*self._training, self._batch_size, order)

    def validation(self) -> FeatureBatches:
        return FeatureBatches(*self._validation, self._batch_size, np.arange(len(self._validation.features)))


def cacheable(recipe: Recipe) -> bool:
    """Whether every epoch before fine-tuning computes the same features: a frozen backbone sees unaltered photos."""
    return isinstance(recipe.model, Transfer) and not (
        recipe.augmentation.alters or recipe.training.mixup or recipe.training.outliers
    )


def prepare(model: keras.Model, recipe: Recipe, data: Data) -> tuple[keras.Model, FeatureFeed]:
    """The head of a model as a network of its own, its layers shared with the model, and the features that it takes."""
    pool = model.get_layer("pool")
    backbone = keras.Model(model.inputs, pool.output)
    features = keras.Input(pool.output.shape[1:], name="features")
    x = features
    for layer in model.layers[model.layers.index(pool) + 1 :]:
        x = layer(x)
    batch_size = recipe.training.batch_size
    indices = np.concatenate([data.train, data.validation])  # in one pass: a second one would take time to start
    one_hot = np.eye(len(data.classes), dtype=np.float32)[data.labels[indices]]
    photos = Batches(
        data.pixels,
        data.labels,
        indices,
        classes=len(data.classes),
        batch_size=batch_size,
        seed=recipe.seed,
        shuffle=False,
    )
    computed = backend.predict(backbone, photos, len(indices))
    count = len(data.train)
    training, validation = Part(computed[:count], one_hot[:count]), Part(computed[count:], one_hot[count:])
    return keras.Model(features, x), FeatureFeed(training, validation, batch_size, recipe.seed)
