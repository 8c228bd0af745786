"""Where a run's course ends early; the whole of it is tested through the command, in `test_train.py`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from training import recipe as recipes
from training import run
from training.commands import course
from training.run import RunError


def follow(folder: Path, photos: Path, *settings: str, **facts: object) -> None:
    recipe = recipes.load("food/basic", ["input.size=16", *settings])
    record = {"recipe": recipe.record(), "data": [str(photos)], "seconds": 0.0, **facts}
    course.follow(run.create(folder, record), None, 1, True, Console(quiet=True))


def test_photos_must_be_those_that_the_run_began_with(
    tmp_path: Path, folder: Callable[..., Path], two_classes: dict[str, bytes]
) -> None:
    with pytest.raises(RunError, match=r"begun on other photos than .*photos holds now"):
        follow(tmp_path / "run", folder(two_classes), dataset={"fingerprint": "another"})


def test_there_is_something_to_tell_apart(
    tmp_path: Path, folder: Callable[..., Path], two_classes: dict[str, bytes]
) -> None:
    one = {name: photo for name, photo in two_classes.items() if name.startswith("a/")}
    with pytest.raises(RunError, match="has 1 class: a classifier tells at least two apart"):
        follow(tmp_path / "run", folder(one))


def test_there_are_photos_to_validate_on(
    tmp_path: Path, folder: Callable[..., Path], two_classes: dict[str, bytes]
) -> None:
    with pytest.raises(RunError, match="0 validation photos: too few"):
        follow(tmp_path / "run", folder(two_classes), "data.fractions=[1.0, 0.0, 0.0]")
