"""The phases of a training: which follow from a recipe, and when each is over."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from foodscene.training.recipes.recipe import Recipe
from foodscene.training.recipes.sections import EarlyStopping, Optimizer, Schedule
from foodscene.training.runs.run import Row


class Phase(NamedTuple):
    """A stretch of epochs with one optimizer."""

    name: Literal["train", "finetune"]
    epochs: int
    optimizer: Optimizer
    schedule: Schedule
    unfreeze: int | str | None
    """Which layers of a backbone are trained from here on; None leaves them as they are."""


def phases(recipe: Recipe) -> Iterator[Phase]:
    """The stretches of a run: the recipe's own, then the fine-tuning of a backbone."""
    yield Phase("train", recipe.training.epochs, recipe.optimizer, recipe.schedule, None)
    if tune := recipe.finetune:
        yield Phase("finetune", tune.epochs, tune.optimizer, tune.schedule, tune.unfreeze)


def over(rows: Sequence[Row], phase: Phase, early_stopping: EarlyStopping | None) -> bool:
    """Whether a phase has come to its end after these epochs: all of them done, or too many without progress."""
    if len(rows) >= phase.epochs:
        return True
    if early_stopping is None:
        return False
    best, waited = math.inf, 0
    for row in rows:
        if row["val_loss"] < best * (1 - early_stopping.min_relative_delta):
            best, waited = row["val_loss"], 0
        else:
            waited += 1
    return waited >= early_stopping.patience
