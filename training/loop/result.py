"""What either training loop leads to, and what it says where it cannot go on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError
from foodscene.models.saving import Trained
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
    validation_photos: int
    """How many photos that stands on."""
    probabilities: NDArray[np.float32]
    """Of the test photos, shape (n, classes)."""


def improves(row: Row, earlier: Sequence[Row], recipe: Recipe) -> bool:
    """Whether an epoch's weights are those to keep, after these epochs."""
    return recipe.training.keep == "last" or all(row["val_loss"] < one["val_loss"] for one in earlier)


def kept(history: Sequence[Row], recipe: Recipe) -> Row:
    """The epoch whose weights were kept."""
    return history[-1] if recipe.training.keep == "last" else min(history, key=lambda row: row["val_loss"])


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
