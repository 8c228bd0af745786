"""Cross-validation: each photo is answered by a network that was trained without it.

Of few photos, a test split holds so few that their share says next to nothing; so all of them test, in turns
(R. Kohavi, "A Study of Cross-Validation and Bootstrap for Accuracy Estimation and Model Selection", 1995).
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foodscene.training.data.load import Data
from foodscene.training.datasets import Dataset
from foodscene.training.evaluation import confidence
from foodscene.training.evaluation.evaluation import Evaluation
from foodscene.training.loop.progress import ClosingWatch
from foodscene.training.loop.result import Result
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.runs.run import Row, Run

FEW = 200
"""Photos below which a training is measured so, where the data set has no test photos of its own."""
FOLDS = 5

Loop = Callable[[Recipe, Data, Run, ClosingWatch], Result]
"""Trains a recipe on the photos of `Data`, as `training.loop.loop.train` does, its other options settled."""


def evaluate(
    recipe: Recipe, data: Data, run: Run, watch: ClosingWatch | None, loop: Loop, tell: Callable[[str], None]
) -> Evaluation:
    """The answers for all photos of `data`, each from a network trained on three fifths of the others' folds.

    Another fifth validates. Copies stay together. A fold's answers are kept in the run's record as soon as they are
    there: a resumed run goes on with the next fold.
    """
    rows = np.sort(np.concatenate([data.train, data.validation, data.test]))
    folds = divide(data.labels[rows], data.groups[rows], recipe.seed)
    kept: list[list[list[float]]] = run.record.get("folds", [])
    tell(
        f"{len(rows)} photos are few to measure on: {FOLDS} networks are trained, each tested on another fifth of them."
    )
    for fold in range(len(kept), FOLDS):
        parts = {
            "test": rows[folds == fold],
            "validation": rows[folds == (fold + 1) % FOLDS],
            "train": rows[(folds != fold) & (folds != (fold + 1) % FOLDS)],
        }
        with tempfile.TemporaryDirectory(prefix="foodscene-fold-") as folder:
            result = loop(recipe, replace(data, **parts), Run(Path(folder)), _Within(watch))
        right = int((result.probabilities.argmax(axis=1) == data.labels[parts["test"]]).sum())
        tell(f"Fold {fold + 1} of {FOLDS}: {right} of {len(parts['test'])} right.")
        kept = [*kept, np.round(result.probabilities.astype(float), 6).tolist()]
        run.update(folds=kept)
    probabilities = np.empty((len(rows), len(data.classes)), np.float32)
    for fold, answers in enumerate(kept):
        probabilities[folds == fold] = answers
    return Evaluation(
        data.classes,
        [data.names[row] for row in rows],
        data.labels[rows],
        probabilities,
        folds=FOLDS,
        contents=data.contents_of(rows),
    )


def suits(dataset: Dataset, data: Data) -> bool:
    """Whether a training is to be measured so: on few photos, enough for folds, without test photos of their own."""
    rows = np.concatenate([data.train, data.validation, data.test])
    enough = np.bincount(data.labels[rows], minlength=len(data.classes)).min() >= FOLDS
    return len(rows) < FEW and bool(enough) and all(sample.split != "test" for sample in dataset.samples)


def without_test(data: Data) -> Data:
    """The same with the test photos among those that train."""
    return replace(data, train=np.sort(np.concatenate([data.train, data.test])), test=data.test[:0])


def confident(result: Result, crossed: Evaluation) -> Result:
    """The same, its answers called sure by all photos' folds instead of by the few that validated."""
    sure_above = confidence.choose_threshold(crossed.probabilities, crossed.targets)
    return result._replace(sure_above=sure_above, validation_photos=len(crossed.targets))


def divide(labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The fold of each photo, from 0 to `FOLDS` - 1, shape (n,): each class evenly over them, copies in one.

    `groups` are the same for copies of each other, shape (n,).
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    folds = np.full(len(labels), -1)
    counts = np.zeros((int(labels.max(initial=0)) + 1, FOLDS), np.int64)
    for position in order:
        if folds[position] >= 0:
            continue
        together = np.flatnonzero(groups == groups[position])
        label = labels[position]
        # The fold that has the fewest of the class, and of these the one that has the fewest photos.
        fold = int(np.lexsort((counts.sum(axis=0), counts[label]))[0])
        folds[together] = fold
        counts[:, fold] += np.bincount(labels[together], minlength=len(counts))
    return folds


class _Within:
    """Looks on at one of several trainings: the bar, but no line for every epoch."""

    def __init__(self, watch: ClosingWatch | None) -> None:
        self._watch = watch

    def begin(self, epoch: int, epochs: int, photos: int) -> None:
        """An epoch begins."""
        if self._watch:
            self._watch.begin(epoch, epochs, photos)

    def advance(self, photos: int) -> None:
        """So many photos of the epoch are done."""
        if self._watch:
            self._watch.advance(photos)

    def end(self, row: Row, epochs: int) -> None:  # noqa: ARG002
        """An epoch is over."""
        self.close()

    def close(self) -> None:
        """The training is over."""
        if self._watch:
            self._watch.close()
