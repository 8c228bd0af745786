"""What a script imports."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import foodscene
from foodscene.models.bundle import BundleError
from foodscene.models.pixels import PhotoError
from foodscene.training.datasets import DatasetError
from foodscene.training.evaluation.evaluation import EvaluationError
from foodscene.training.runs.run import RunError


def test_a_bundle_answers_for_a_path_or_bytes(toy_bundle: Path, photo: Callable[..., bytes], tmp_path: Path) -> None:
    colours = foodscene.load(toy_bundle / "colours")
    assert colours.labels == ("red", "green", "blue")
    (tmp_path / "photo.jpg").write_bytes(photo(1))
    answer = colours.predict(tmp_path / "photo.jpg", top_k=2)
    assert answer == colours.predict(str(tmp_path / "photo.jpg"), 2) == colours.predict(photo(1), 2)
    assert len(answer.predictions) == 2
    assert (answer.label, answer.probability) == answer.predictions[0]
    assert answer.sure == (answer.probability >= 0.5)
    assert "colours: 3 labels" in repr(colours)


def test_a_photo_alone_is_answered_by_the_bundle_that_ships(photo: Callable[..., bytes]) -> None:
    assert foodscene.predict(photo(1)) == foodscene.load("everyday").predict(photo(1))


def test_a_bundle_is_measured(toy_bundle: Path, colours: Path) -> None:
    measured = foodscene.evaluate(toy_bundle / "colours", colours)
    assert len(measured.targets) == 18
    assert foodscene.evaluate(foodscene.load(toy_bundle / "colours"), [colours], "all").top1.value > 0
    with pytest.raises(EvaluationError, match="There is no split 'tests'"):
        foodscene.evaluate(toy_bundle / "colours", colours, "tests")


def test_what_is_wrong_is_raised() -> None:
    with pytest.raises(BundleError, match="There is no bundle 'nothing'"):
        foodscene.load("nothing")
    with pytest.raises(PhotoError):
        foodscene.predict(b"no photo")
    with pytest.raises(ValueError, match="top_k: give a whole number from 1 on, not 0"):
        foodscene.predict(b"", top_k=0)
    with pytest.raises(EvaluationError, match="no photos to measure on"):
        foodscene.evaluate("everyday", [])
    with pytest.raises(DatasetError, match="no photos to train on"):
        foodscene.train("food/basic", [])
    with pytest.raises(RunError, match="it is fast or keras, not 'fats'"):
        foodscene.train("food/basic", "photos", engine="fats")  # type: ignore[arg-type]
    with pytest.raises(RunError, match=r"settings: give a list"):
        foodscene.train("food/basic", "photos", settings="training.epochs=1")
    with pytest.raises(AttributeError, match="no attribute 'guess'"):
        foodscene.guess  # noqa: B018


def test_every_name_is_there_and_imports_nothing_heavy() -> None:
    program = (
        "import sys, foodscene; "
        "assert not any(name.split('.')[0] in ('keras', 'numpy', 'onnxruntime') for name in sys.modules); "
        "assert all(getattr(foodscene, name) for name in foodscene.__all__); "
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
