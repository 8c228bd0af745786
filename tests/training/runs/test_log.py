"""The run log: found, chosen, ordered, compared, taken in."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from foodscene.cli import program
from foodscene.training.evaluation.evaluation import Evaluation
from foodscene.training.runs import log, run
from foodscene.training.runs.run import Run, RunError


def record(root: Path, name: str, recipe: str, top1: float, **more: Any) -> Run:
    facts = {"status": "finished", "recipe": {"name": recipe, "optimizer": {"learning_rate": 0.01}}, "started": name}
    return run.create(root / name, {**facts, "test": {"top1": top1, "loss": 1 - top1}, "best": {}, **more})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    record(tmp_path, "1-basic", "food/basic", 0.2)
    record(tmp_path, "2-wide", "food/wide", 0.6)
    record(tmp_path, "3-cnn", "scenes/cnn", 0.9)
    run.create(tmp_path / "4-begun", {"status": "running", "recipe": {"name": "food/basic"}, "started": "4"})
    return tmp_path


def names(found: list[Run]) -> list[str]:
    return [one.name for one in found]


def test_best_first_and_those_without_a_figure_last(root: Path) -> None:
    found = log.find_runs(root)
    assert names(log.order(found)) == ["3-cnn", "2-wide", "1-basic", "4-begun"]
    assert names(log.order(found, "loss")) == ["3-cnn", "2-wide", "1-basic", "4-begun"]


def test_where(root: Path) -> None:
    found = log.find_runs(root)
    assert names(log.select(found, ["recipe=food/*"])) == ["1-basic", "2-wide", "4-begun"]
    assert names(log.select(found, ["recipe=food/*", "top1>0.5"])) == ["2-wide"]
    assert names(log.select(found, ["status!=finished"])) == ["4-begun"]
    assert names(log.select(found, ["recipe.optimizer.learning_rate<=0.01"])) == ["1-basic", "2-wide", "3-cnn"]
    for wrong in ("food", "top1>high"):
        with pytest.raises(RunError, match="--where"):
            log.select(found, [wrong])


def test_chosen_by_number_and_by_name(root: Path) -> None:
    found = log.find_runs(root)
    assert log.find_run(found, "2").name == "2-wide"
    assert log.find_run(found, "cnn").name == "3-cnn"
    with pytest.raises(RunError, match="no such run"):
        log.find_run(found, "nobody")
    with pytest.raises(RunError, match="4 runs are called so"):
        log.find_run(found, "-")


def test_damaged_records_are_left_out_and_an_absent_folder_is_named(root: Path) -> None:
    (root / "2-wide" / "run.json").write_text("{")
    assert names(log.find_runs(root)) == ["1-basic", "3-cnn", "4-begun"]
    with pytest.raises(RunError, match="no folder"):
        log.find_runs(root / "nowhere")


def answered(folder: Path, right: list[bool]) -> None:
    targets = np.zeros(len(right), np.int64)
    probabilities = np.array([[0.9, 0.1] if one else [0.1, 0.9] for one in right], np.float32)
    Evaluation(("a", "b"), [f"{n}.jpg" for n in range(len(right))], targets, probabilities).save(
        folder / "predictions.npz"
    )


def test_compared_by_settings_figures_and_the_same_photos(tmp_path: Path) -> None:
    one = record(tmp_path, "one", "food/basic", 0.5)
    other = record(tmp_path, "other", "food/basic", 0.75)
    other.record["recipe"]["optimizer"]["learning_rate"] = 0.1
    answered(one.folder, [True] * 20 + [False] * 20)
    answered(other.folder, [True] * 30 + [False] * 10)
    difference = log.compare(one, other)
    assert difference.settings == {"optimizer.learning_rate": (0.01, 0.1)}
    assert difference.figures["top1"] == (0.5, 0.75)
    assert (difference.photos, difference.only_first, difference.only_second) == (40, 0, 10)
    assert difference.chance == pytest.approx(2 / 2**10)
    (other.folder / "predictions.npz").unlink()
    assert log.compare(one, other).chance is None


def known(folder: Path, names: list[str], contents: list[str], right: list[bool]) -> None:
    probabilities = np.array([[0.9, 0.1] if one else [0.1, 0.9] for one in right], np.float32)
    targets = np.zeros(len(names), np.int64)
    Evaluation(("a", "b"), names, targets, probabilities, contents=tuple(contents)).save(folder / "predictions.npz")


def test_photos_are_told_by_what_is_in_them_not_by_their_names(tmp_path: Path) -> None:
    one, other = (record(tmp_path, name, "food/basic", 0.5) for name in ("one", "other"))
    one.record["dataset"], other.record["dataset"] = {"fingerprint": "a" * 32}, {"fingerprint": "b" * 32}
    known(one.folder, ["1.jpg", "2.jpg", "3.jpg"], ["x", "y", "y"], [True, False, True])
    known(other.folder, ["9/a.jpg", "1.jpg", "9/b.jpg"], ["y", "z", "y"], [True, True, False])
    difference = log.compare(one, other)
    assert difference.settings["photos"] == ("a" * 12, "b" * 12)
    assert (difference.photos, difference.only_first, difference.only_second) == (2, 1, 1)
    known(other.folder, ["1.jpg", "2.jpg", "3.jpg"], ["u", "v", "w"], [True] * 3)
    assert log.compare(one, other).others
    answered(other.folder, [True] * 3)  # an older record, of another data set: nothing is known
    difference = log.compare(one, other)
    assert (difference.photos, difference.others) == (0, False)


def test_runs_on_other_photos_are_not_compared(tmp_path: Path) -> None:
    for name, photo in (("one", "x"), ("other", "y")):
        made = record(tmp_path, name, "food/basic", 0.5)
        known(made.folder, ["1.jpg"], [photo], [True])
    result = CliRunner().invoke(program, ["runs", "--runs", str(tmp_path), "compare", "one", "other"])
    assert isinstance(result.exception, RunError)
    assert "other photos, with none in common" in str(result.exception)
    assert "top1" not in result.output


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("recipe.optimizer.learning_rate=1e-2", 3),
        ("recipe.optimizer.learning_rate == 0.010", 3),
        ("recipe.optimizer.learning_rate!=.01", 1),
        ("status==finished", 3),
    ],
)
def test_numbers_are_met_in_any_spelling(condition: str, found: int, root: Path) -> None:
    assert len(log.select(log.find_runs(root), [condition])) == found


def test_a_fact_that_no_run_has_is_named(root: Path) -> None:
    with pytest.raises(RunError, match=r"No run has recip\. Did you mean recipe"):
        log.select(log.find_runs(root), ["recip=*"])
    with pytest.raises(RunError, match=r"No run has tpo1\. Did you mean .*top1"):
        log.order(log.find_runs(root), "tpo1")
    assert log.select([], ["anything=*"]) == []


def call(*arguments: object) -> str:
    result = CliRunner().invoke(program, ["runs", *map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_commands(root: Path, tmp_path: Path) -> None:
    lines = call("--runs", root, "--where", "recipe=food/*").splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["2-wide", "1-basic", "4-begun"]
    assert json.loads(call("--runs", root, "--json"))[0]["name"] == "3-cnn"
    assert json.loads(call("--runs", root, "show", "3", "test.top1")) == 0.9
    assert "did not answer the same" in call("--runs", root, "compare", "1", "2")
    for name in ("1-basic", "2-wide"):
        run.read_run(root / name).save_history(
            [{"epoch": 1, "loss": 1.0, "val_loss": 1.2, "top1": 0.1, "val_top1": 0.2}]
        )
    picture = tmp_path / "both.svg"
    call("--runs", root, "plot", "1", "2", "--out", picture)
    assert "2-wide" in picture.read_text()


@pytest.mark.slow
def test_a_thousand_runs_are_listed_in_a_second(tmp_path: Path) -> None:
    for number in range(1000):
        record(tmp_path, f"run-{number:04}", "food/basic", number / 1000)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        best = log.order(log.select(log.find_runs(tmp_path), ["recipe=food/*"]))[0]
        times.append(time.perf_counter() - began)
    assert best.name == "run-0999"
    assert min(times) < 0.8
