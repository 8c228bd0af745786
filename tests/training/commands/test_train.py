import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from foodscene.cli import program
from foodscene.models import bundle
from foodscene.models.engine import open_engine

TINY = """extends = "food/standardized"
title = "Tiny"
domain = "letters"
bundle = "tiny"
[input]
size = 16
[model]
filters = [4]
[training]
epochs = 2
batch_size = 8
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(TINY)
    return path


@pytest.fixture
def photos(folder: Callable[..., Path], two_classes: dict[str, bytes]) -> Path:
    return folder(two_classes)


def call(*arguments: object) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(program, ["train", *map(str, arguments)])
    return result.exit_code, result.output, result.exception


@pytest.mark.slow
def test_from_photos_to_a_bundle_that_serves(tmp_path: Path, recipe: Path, photos: Path) -> None:
    code, output, error = call(recipe, "--data", photos, "--runs", tmp_path / "runs", "--set", "training.epochs=1")
    assert code == 0, (output, error)
    [folder] = (tmp_path / "runs").iterdir()
    assert f"foodscene serve --models {folder / 'models'}" in output
    made = bundle.read_bundle(folder / "models" / "tiny")
    assert made.labels == ("a", "b")
    assert made.card.title == "Tiny"
    assert made.card.domain == "letters"
    assert made.card.recipe["settings"]["training"]["epochs"] == 1
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["dataset"]["fingerprint"] == made.card.dataset.fingerprint  # type: ignore[union-attr]
    assert record["command"] == f"foodscene train {recipe} --data photos --set training.epochs=1"
    assert (folder / "history.csv").exists()
    assert list((folder / "tensorboard").iterdir())
    code, output, error = call("--resume", "--run", folder)
    assert "nothing to resume" in str(error)


WITHOUT_KERAS = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("jax", "keras", "optuna", "tensorboard", "tensorflow", "torch"):
            raise ImportError(f"{name} is wanted")

sys.meta_path.insert(0, Absent())
from foodscene.cli import cli
cli()
"""
"""The command line where only the base install and the extra `scratch` are there."""


@pytest.mark.slow
def test_it_trains_and_answers_where_keras_is_not(tmp_path: Path, recipe: Path, photos: Path) -> None:
    recipe.write_text(TINY.replace("food/standardized", "food/augmented"))
    command = ["train", recipe, "--data", photos, "--run", tmp_path / "run", "--backend", "scratch"]
    done = subprocess.run([sys.executable, "-c", WITHOUT_KERAS, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["command"] == f"foodscene train {recipe} --data photos --backend scratch"
    assert "NumPy" in record["device"]
    assert (tmp_path / "run/report.html").exists()
    made = bundle.read_bundle(tmp_path / "run/models/tiny")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    served, by_keras = (open_engine(made, kind).predict(pixels) for kind in ("auto", "keras"))
    np.testing.assert_allclose(served, by_keras, atol=1e-5)
    code, _, error = call("--resume", "--run", tmp_path / "run", "--backend", "keras")
    assert code == 2, error


def test_a_backend_that_there_is_not_is_told(recipe: Path, photos: Path) -> None:
    code, output, _ = call(recipe, "--data", photos, "--backend", "caffe")
    assert code == 2
    assert "it is keras or scratch" in output


@pytest.mark.slow
def test_a_bundle_teaches_a_smaller_network(tmp_path: Path, recipe: Path, photos: Path) -> None:
    command = (recipe, "--data", photos, "--set", "training.epochs=1", "--run")
    code, output, error = call(*command, tmp_path / "large")
    assert code == 0, (output, error)
    large = tmp_path / "large/models/tiny"
    code, output, error = call(*command, tmp_path / "small", "--set", "model.filters=[2]", "--teacher", large)
    assert code == 0, (output, error)
    record = json.loads((tmp_path / "small/run.json").read_text())
    assert record["teacher"] == str(large)
    assert record["command"].endswith("--set 'model.filters=[2]' --teacher tiny")
    _, _, error = call(*command, tmp_path / "other", "--set", "input.size=24", "--teacher", large)
    assert "takes photos as 16 x 16 x 3" in str(error)
    _, _, error = call(*command, tmp_path / "none", "--teacher", tmp_path)
    assert "has no model.h5" in str(error)
    _, _, error = call(*command, tmp_path / "none", "--set", "teacher.temperature=2.0")
    assert "learns from a teacher's answers" in str(error)
    assert not (tmp_path / "none").exists()


@pytest.mark.nightly
def test_jax_trains_too(tmp_path: Path, recipe: Path, photos: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "foodscene",
        "train",
        recipe,
        "--data",
        photos,
        "--run",
        tmp_path / "run",
        "--quiet",
    ]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        list(map(str, command)),
        env=environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Keras on jax" in json.loads((tmp_path / "run/run.json").read_text())["device"]
    assert bundle.read_bundle(tmp_path / "run/models/tiny").labels == ("a", "b")


def test_the_list_shows_the_reported_figures() -> None:
    code, output, _ = call("--list")
    assert code == 0
    assert "scenes/custom-cnn" in output
    assert "0.8600" in output


@pytest.mark.slow
def test_what_is_wrong_leaves_no_folder_that_is_in_the_way(tmp_path: Path, recipe: Path, photos: Path) -> None:
    command = (recipe, "--data", photos, "--run", tmp_path / "run", "--set", "training.epochs=1")
    _, _, error = call(*command, "--weights", "/nowhere.h5")
    assert "there is no file /nowhere.h5" in str(error)
    assert not (tmp_path / "run").exists()
    for name in "ab":
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "1.jpg").write_bytes(b"no photo")
    _, _, error = call(recipe, "--data", tmp_path / "broken", *command[3:])
    assert "no photo that can be decoded" in str(error)
    code, output, error = call(*command)
    assert code == 0, (output, error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which photos"),
        (["food/basic"], "which photos"),
        (["food/basic", "--data", "/nowhere"], "There is no /nowhere"),
        (["food/basics", "--data", "."], "Did you mean food/basic"),
        (["food/basic", "--data", ".", "--set", "training.epoch=3"], "Did you mean epochs"),
        (["food/basic", "--data", ".", "--engine", "slow"], "fast or keras"),
        (["--resume", "--runs", "/nowhere"], "Nothing to resume"),
        (["own.toml", "--resume"], "a run that goes on keeps its recipe"),
        (["food/basic", "--resume", "--run", "/nowhere"], "a run that goes on keeps its recipe"),
        (["--resume", "--weights", "none"], "a run that goes on keeps what it was begun with"),
        (["--resume", "--engine", "keras"], "a run that goes on keeps what it was begun with"),
        (["--resume", "--teacher", "everyday"], "a run that goes on keeps what it was begun with"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    code, output, error = call(*arguments, *([] if "--runs" in arguments else ["--runs", tmp_path]))
    assert code != 0
    assert said in " ".join(f"{output} {error}".replace("│", " ").split())
    assert not list(tmp_path.iterdir())
