"""Answers are kept, and put together."""

from pathlib import Path

import numpy as np
import pytest

from foodscene.models import bundle
from foodscene.models.engine import open_engine
from foodscene.training.data import load
from foodscene.training.evaluation import evaluation, inference
from foodscene.training.evaluation.evaluation import EvaluationError
from foodscene.training.evaluation.outputs import Looking


def test_answers_are_kept_exactly(toy_bundle: Path, colours: Path, tmp_path: Path) -> None:
    found = bundle.read_bundle(toy_bundle / "colours")
    loaded = load.load(colours, found.spec)
    measured = inference.evaluate(Looking(found, open_engine(found)), loaded, loaded.test)
    measured.save(tmp_path / "predictions.npz")
    kept = evaluation.load(tmp_path / "predictions.npz")
    assert kept.as_json() == measured.as_json()
    with pytest.raises(EvaluationError, match="keeps no answers"):
        evaluation.load(tmp_path / "nothing.npz")


def test_a_photo_that_two_data_sets_have_counts_in_each(tmp_path: Path) -> None:
    one = evaluation.Evaluation(("a", "b"), ["1"], np.array([0]), np.array([[0.9, 0.1]], np.float32), contents=("x",))
    both = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    two = evaluation.Evaluation(("a", "b"), ["other/1", "2"], np.array([0, 1]), both, contents=("x", "y"))
    joined = evaluation.join([one, two])
    assert (joined.names, joined.contents, joined.targets.tolist()) == (
        ["1", "other/1", "2"],
        ("x", "x", "y"),
        [0, 0, 1],
    )
    assert evaluation.in_several([one, two]) == 1
    joined.save(tmp_path / "predictions.npz")
    assert evaluation.load(tmp_path / "predictions.npz").contents == ("x", "x", "y")


def test_several_data_sets_together() -> None:
    one = evaluation.Evaluation(("a", "b"), ["1"], np.array([0]), np.array([[0.9, 0.1]], np.float32))
    two = evaluation.Evaluation(("a", "b"), ["2", "3"], np.array([1, 1]), np.array([[0.8, 0.2]] * 2, np.float32))
    both = evaluation.join([one, two])
    assert both.top1.value == pytest.approx(1 / 3)
    assert both.confusion_csv().splitlines()[0] == "true \\ predicted,a,b"
