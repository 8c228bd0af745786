"""A frozen backbone's features of the photos: computed once, the head then trains on them as if on the photos."""

import math
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from foodscene.training.data.load import Data
from foodscene.training.loop import backend
from foodscene.training.loop.batches import Batches
from foodscene.training.loop.photo_feed import part_of_pass
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.recipes.sections import Transfer

_WHOLE = 2**28  # bytes of features that an epoch may have to be handed over in one piece


class FeatureBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of features, float32 of shape (n, features), and one-hot labels, in a given order."""

    def __init__(
        self, features: NDArray[np.float32], targets: NDArray[np.float32], batch_size: int, order: NDArray[np.int64]
    ) -> None:
        super().__init__()
        self._features, self._targets, self._batch_size, self._order = features, targets, batch_size, order

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._batch_size)

    @property
    def photos(self) -> int:
        """How many there are in all batches together."""
        return len(self._order)

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

    def __init__(self, training: Part, validation: Part, batch_size: int, seed: int, epochs_per_pass: int = 1) -> None:
        self._training, self._validation, self._batch_size, self._seed = training, validation, batch_size, seed
        self._epochs_per_pass = epochs_per_pass

    def training(self, epoch: int) -> FeatureBatches:
        """Shuffled for epoch number `epoch`, counted from 0."""
        photos = part_of_pass(np.arange(len(self._training.features)), epoch, self._epochs_per_pass, self._seed)
        order = np.random.default_rng((self._seed, epoch)).permutation(photos)
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
    return keras.Model(features, x), FeatureFeed(
        training, validation, batch_size, recipe.seed, recipe.training.epochs_per_pass
    )
