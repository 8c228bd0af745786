"""The search: what it tries, how its trials are shared out, and what is left of it when it is killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from foodscene.models import bundle
from foodscene.models.engine import open_engine
from foodscene.training.recipes import recipe
from foodscene.training.runs import log, run
from foodscene.training.sweep import sweep, trial
from foodscene.training.sweep.space import Space
from foodscene.training.sweep.sweep import SweepError

pytestmark = pytest.mark.slow

GRID = """recipe = "food/standardized"
search = "grid"
settings = { training.epochs = 1, input.size = 16, model.filters = [4] }
final = { training.epochs = 2 }
[space]
"optimizer.learning_rate" = [0.001, 0.01]
"optimizer.name" = ["adam", "sgd"]
"""


def written(folder: Path, text: str = GRID) -> Path:
    path = folder / "space.toml"
    path.write_text(text)
    return path


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_trial_is_trained_once_and_a_crash_does_not_stop_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def train(folder: Path, space: object, ticket: optuna.Trial, *_: object) -> float:
        trained.append(ticket.user_attrs["run"])
        if ticket.params["optimizer.name"] == '"sgd"':
            raise RuntimeError("sgd crashes")
        ticket.report(0.5, 1)
        return float(ticket.params["optimizer.learning_rate"])

    monkeypatch.setattr(trial, "train", train)
    space = sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    sweep.work(tmp_path / "sweep", [], None, 1)
    sweep.work(tmp_path / "sweep", [], None, 1)
    assert sorted(trained) == ["trial-0000", "trial-0001", "trial-0002", "trial-0003"]
    rows = table(tmp_path / "sweep")
    assert [row["state"] for row in rows] == ["complete", "fail", "complete", "fail"]
    assert rows[1]["error"] == "RuntimeError: sgd crashes"
    assert (rows[2]["optimizer.learning_rate"], rows[2]["optimizer.name"], rows[2]["val_top1"]) == (
        "0.01",
        "adam",
        "0.01",
    )
    assert sweep.best(sweep.study_of(tmp_path / "sweep", space)).user_attrs["run"] == "trial-0002"


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_a_drawn_search_has_as_many_trials_as_asked_for(
    search: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"""recipe = "food/basic"
search = "{search}"
trials = 7
[space]
"optimizer.learning_rate" = {{ low = 1e-5, high = 0.1, log = true }}
"training.batch_size" = {{ low = 8, high = 64 }}
"""
    drawn = []

    def train(folder: Path, space: Space, ticket: optuna.Trial, *_: object) -> float:
        made = recipe.load(space.recipe, space.overrides(ticket.params))
        drawn.append((made.optimizer.learning_rate, made.training.batch_size))
        return 1 - made.optimizer.learning_rate

    monkeypatch.setattr(trial, "train", train)
    for name in ("sweep", "again"):
        sweep.open_sweep(tmp_path / name, written(tmp_path, text))
        sweep.work(tmp_path / name, [], None, 1)
    assert drawn[:7] == drawn[7:], "the seed tells what is drawn"
    assert len(set(drawn)) == 7
    assert all(1e-5 <= rate <= 0.1 and 8 <= batch <= 64 for rate, batch in drawn)


def test_interrupted_trials_are_handed_out_again_and_dead_ones_fail(tmp_path: Path) -> None:
    space = sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    study = sweep.study_of(tmp_path / "sweep", space)
    with sweep.at_work(tmp_path / "sweep") as worker:
        assert sweep.take(tmp_path / "sweep", study, space, worker)
        assert sweep.recover(tmp_path / "sweep", space) == 0, "its process is alive"
    assert sweep.recover(tmp_path / "sweep", space, died="the process ended with code -9") == 1
    with sweep.at_work(tmp_path / "sweep") as worker:
        assert sweep.take(tmp_path / "sweep", study, space, worker)
    assert sweep.recover(tmp_path / "sweep", space) == 1
    found = sweep.trials(study)
    assert [one.state for one in found] == [TrialState.FAIL, *[TrialState.WAITING] * 3]
    assert table(tmp_path / "sweep")[0]["error"] == "the process ended with code -9"
    assert [one.user_attrs["run"] for one in found] == [f"trial-000{number}" for number in range(4)]


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("trials.csv", "journal.log"):
        (tmp_path / "mine" / name).write_text("mine")
        with pytest.raises(sweep.SweepError, match="and no search"):
            sweep.open_sweep(tmp_path / "mine", written(tmp_path))
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["mine", "mine"]


def test_another_space_is_refused(tmp_path: Path) -> None:
    sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    with pytest.raises(SweepError, match="another space"):
        sweep.open_sweep(tmp_path / "sweep", written(tmp_path, GRID.replace("0.01", "0.02")))


@pytest.mark.slow
def test_killed_and_resumed_to_a_bundle_that_serves(
    tmp_path: Path, folder: Callable[..., Path], two_classes: dict[str, bytes]
) -> None:
    photos, place = folder(two_classes), tmp_path / "sweep"
    program = [sys.executable, "-c", "from foodscene.cli import cli; cli()"]
    command = [*program, "sweep", written(tmp_path), "--data", photos, "--folder", place, "--jobs", "2"]
    environment = {**os.environ, "FOODSCENE_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(Path.cwd())}
    command = list(map(str, command))
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    until = time.monotonic() + 90
    done: dict[str, str] = {}
    while not done and time.monotonic() < until:
        time.sleep(0.1)
        rows = table(place) if (place / "trials.csv").exists() else []
        done = {row["trial"]: row["val_top1"] for row in rows if row["state"] == "complete"}
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    stamps = {name: (place / "runs" / name / "run.json").stat().st_mtime_ns for name in done}
    assert done

    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert again.returncode == 0, again.stderr
    rows = table(place)
    assert [row["state"] for row in rows] == ["complete"] * 4
    assert [row["epochs"] for row in rows] == ["1"] * 4, "those of a trial that goes on count too"
    for name, stamp in stamps.items():
        assert (place / "runs" / name / "run.json").stat().st_mtime_ns == stamp, f"{name} was trained twice"
    record = json.loads((place / "best" / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["recipe"]["training"]["epochs"] == 2
    written_bundle = bundle.read_bundle(Path(record["bundle"]))
    assert open_engine(written_bundle, "onnx").kind == "onnx"
    # A trial that is killed between its last epoch and TensorBoard's log of it has none.
    for name in done:
        assert list((place / "runs" / name / "tensorboard").iterdir())
    first, second = (run.read_run(place / "runs" / name) for name in ("trial-0000", "trial-0001"))
    compared = log.compare(first, second)
    assert compared.photos > 0
    assert compared.chance is not None
