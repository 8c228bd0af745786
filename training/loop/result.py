"""What either training loop leads to, and what it says where it cannot go on."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models import familiarity
from foodscene.models.errors import FoodsceneError
from foodscene.models.familiarity import Familiarity, Features, evenly, suffices
from foodscene.models.saving import Trained
from foodscene.training.data.load import Data
from foodscene.training.loop.phases import Phase
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.runs.run import Row

if TYPE_CHECKING:
    import keras


class TrainingError(FoodsceneError, ValueError):
    """A training that cannot go on. Its text says what to change."""


class Result(NamedTuple):
    """The network of the epoch that is kept, calibrated, what led to it, and what it makes of the test photos."""

    model: "keras.Model | Trained"
    history: list[Row]
    best: Row
    temperature: float
    sure_above: float
    """The probability from which on an answer is called sure: see `training.evaluation.confidence`."""
    probabilities: NDArray[np.float32]
    """Of the test photos, shape (n, classes)."""
    set_above: float | None = None
    """The probability from which on a label belongs to a photo's set: see `models.judgement`."""
    familiar: Familiarity | None = None
    """What is familiar to the network; None where there are too few photos to say."""
    familiarity: NDArray[np.float32] | None = None
    """Of the test photos, shape (n,), where there is something familiar."""


def improves(row: Row, earlier: Sequence[Row], recipe: Recipe) -> bool:
    """Whether an epoch's weights are those to keep, after these epochs."""
    return recipe.training.keep == "last" or all(row["val_loss"] < one["val_loss"] for one in earlier)


def kept(history: Sequence[Row], recipe: Recipe) -> Row:
    """The epoch whose weights were kept."""
    return history[-1] if recipe.training.keep == "last" else min(history, key=lambda row: row["val_loss"])


def measure_familiarity(
    features: Callable[[NDArray[np.int64]], Features], count: int, data: Data
) -> tuple[Familiarity | None, NDArray[np.float32] | None]:
    """What is familiar to a network, and how familiar the test photos are; None twice where there are too few photos.

    `features` gives what enters its last dense layer, `count` values for each of the photos that it is asked for.
    """
    if not suffices(len(data.validation), len(data.classes), count):
        return None, None
    train = data.train[evenly(len(data.train))]
    parts = None if data.parts is None else data.parts[data.validation]
    found = familiarity.fit(features(train), data.labels[train], features(data.validation), parts)
    return found, found.of(features(data.test)) if len(data.test) else None


def diverged(epoch: int, phase: Phase) -> TrainingError:
    """The error of an epoch whose loss is no number any more."""
    section = "optimizer" if phase.name == "train" else "finetune.optimizer"
    rate = phase.optimizer.learning_rate
    return TrainingError(
        f"The loss is no number any more in epoch {epoch}: the steps are too large. Try a lower rate, "
        f"--set {section}.learning_rate={rate / 10:g}, or shorter steps, --set {section}.clip_norm=1."
    )


def mismatched() -> TrainingError:
    """The error of a checkpoint that another network left."""
    return TrainingError(
        "The run's checkpoint does not fit its recipe: was it written by another version of foodscene or of Keras?"
    )
