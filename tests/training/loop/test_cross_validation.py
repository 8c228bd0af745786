from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foodscene.models.pixels import InputSpec
from foodscene.training.data.load import Data, load
from foodscene.training.datasets import open_dataset
from foodscene.training.loop import cross_validation
from foodscene.training.loop.cross_validation import FOLDS
from foodscene.training.loop.result import Result
from foodscene.training.runs.run import Run
from tests.training.loop.test_loop import tiny

SPEC = InputSpec(16, 16)


@pytest.fixture
def few(folder: Any, photo: Any) -> Data:
    """45 photos of three classes, two of them copies of each other."""
    tree = {f"{label}/{number}.jpg": photo(100 * ord(label) + number) for label in "abc" for number in range(15)}
    tree["a/copy.jpg"] = tree["a/0.jpg"]
    return load(folder(tree), SPEC)


def test_folds_hold_each_class_evenly_and_copies_together() -> None:
    labels = np.repeat([0, 1, 2], [20, 25, 7])
    groups = np.arange(len(labels))
    groups[[3, 4, 5]] = 3
    folds = cross_validation.divide(labels, groups, seed=0)
    assert len(set(folds[[3, 4, 5]])) == 1
    counts = np.array([np.bincount(folds[labels == label], minlength=FOLDS) for label in range(3)])
    assert (counts.max(axis=1) - counts.min(axis=1) <= [2, 1, 1]).all()
    assert np.array_equal(folds, cross_validation.divide(labels, groups, seed=0))
    assert not np.array_equal(folds, cross_validation.divide(labels, groups, seed=1))


def test_every_photo_is_answered_once_by_what_never_saw_it(few: Data, tmp_path: Path) -> None:
    seen: list[Data] = []

    def loop(_recipe: Any, data: Data, _run: Run, _watch: Any) -> Result:
        seen.append(data)
        answers = np.eye(3, dtype=np.float32)[data.labels[data.test]]
        return Result(None, [], {}, 1.0, 0.5, 1, answers)  # type: ignore[arg-type]

    run, lines = Run(tmp_path), list[str]()
    run.record["folds"] = []
    found = cross_validation.evaluate(tiny(), few, run, None, loop, lines.append)
    assert found.folds == len(seen) == FOLDS
    tested = np.concatenate([data.test for data in seen])
    assert sorted(tested) == sorted(np.concatenate([few.train, few.validation, few.test]))
    assert all(not set(data.test) & {*data.train, *data.validation} for data in seen)
    assert all(set(few.groups[data.test]).isdisjoint(few.groups[data.train]) for data in seen)
    assert found.top1.value == 1.0
    assert found.top1.low < 0.95, "46 photos do not show more"
    assert lines[-1].startswith("Fold 5 of 5: ")
    # A resumed run asks for what it lacks alone.
    run.record["folds"] = run.record["folds"][:3]
    again = cross_validation.evaluate(tiny(), few, run, None, loop, lines.append)
    assert len(seen) == FOLDS + 2
    np.testing.assert_allclose(again.probabilities, found.probabilities)


def test_it_is_for_few_photos_without_a_test_of_their_own(folder: Any, photo: Any, few: Data) -> None:
    dataset = open_dataset(
        folder({f"{label}/{number}.jpg": photo(number) for label in "ab" for number in range(3)}, "x")
    )
    assert cross_validation.suits(dataset, few)
    tested = open_dataset(
        folder({f"{split}/{label}/1.jpg": photo(1) for split in ("train", "test") for label in "ab"}, "y")
    )
    assert not cross_validation.suits(tested, few)
    assert not cross_validation.suits(dataset, load(dataset, SPEC)), "three of a class are too few for five folds"
