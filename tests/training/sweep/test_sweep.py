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
from typing import Any

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


def killed(folder: Path, study: optuna.Study, space: Space) -> str:
    """Takes a trial as a process does that is killed; its name."""
    with sweep.at_work(folder) as worker:
        assert sweep.take(folder, study, space, worker)
        assert sweep.recover(folder, study) == 0, "its process is alive"
    return worker


def test_trials_of_dead_processes_are_handed_out_again_as_they_were_and_crashed_ones_fail(tmp_path: Path) -> None:
    space = sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    study = sweep.study_of(tmp_path / "sweep", space)
    worker = killed(tmp_path / "sweep", study, space)
    assert sweep.recover(tmp_path / "sweep", study, {worker: 1}) == 1
    killed(tmp_path / "sweep", study, space)
    settings = sweep.trials(study)[1].params
    assert sweep.recover(tmp_path / "sweep", study) == 1
    found = sweep.trials(study)
    assert [one.state for one in found] == [TrialState.FAIL, *[TrialState.WAITING] * 3]
    assert found[1].params == settings
    assert table(tmp_path / "sweep")[0]["error"] == "the process ended with code 1"
    assert [one.user_attrs["run"] for one in study.get_trials()] == [f"trial-000{number}" for number in range(4)]


def test_a_trial_whose_process_was_killed_between_its_settings_is_still_that_trial(tmp_path: Path) -> None:
    space = sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    study = sweep.study_of(tmp_path / "sweep", space)
    study.ask({"optimizer.learning_rate": space.distributions()["optimizer.learning_rate"]})  # and not the other one
    sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    assert len(sweep.trials(study)) == 4
    assert sweep.recover(tmp_path / "sweep", study) == 1
    ticket = sweep.take(tmp_path / "sweep", study, space, "worker")
    assert ticket
    assert sweep.name_of(sweep.trials(study)[0]) == ticket.user_attrs["run"]
    assert len(ticket.params) == 2


@pytest.mark.parametrize("code", [-9, -15])
def test_a_trial_that_is_killed_from_outside_is_given_up_when_it_comes_no_further(code: int, tmp_path: Path) -> None:
    space = sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    study = sweep.study_of(tmp_path / "sweep", space)
    for epoch in range(1, 7):  # each time it has one epoch more
        with sweep.at_work(tmp_path / "sweep") as worker:
            ticket = sweep.take(tmp_path / "sweep", study, space, worker)
            assert ticket
            ticket.report(0.5, epoch)
        sweep.recover(tmp_path / "sweep", study, {worker: code})
        assert sweep.trials(study)[0].state == TrialState.WAITING
    for _ in range(5):
        sweep.recover(tmp_path / "sweep", study, {killed(tmp_path / "sweep", study, space): code})
    assert [one.state for one in sweep.trials(study)] == [TrialState.FAIL, *[TrialState.WAITING] * 3]


def test_a_beginning_that_was_killed_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue, times = optuna.Study.enqueue_trial, iter(range(2))

    def twice(*given: Any, **options: Any) -> None:
        if next(times, None) is None:
            raise KeyboardInterrupt
        enqueue(*given, **options)

    with monkeypatch.context() as killing:
        killing.setattr(optuna.Study, "enqueue_trial", twice)
        with pytest.raises(KeyboardInterrupt):
            sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    space = sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    found = sweep.study_of(tmp_path / "sweep", space).get_trials()
    assert len(found) == 4
    settings = {json.dumps(one.system_attrs["fixed_params"], sort_keys=True) for one in found}
    assert len(settings) == 4


@pytest.mark.parametrize("left", ["journal.log.lock", ".journal.lock", ".lock"])
def test_a_lock_of_a_dead_process_holds_nobody_up(left: str, tmp_path: Path) -> None:
    space = sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    (tmp_path / "sweep" / left).symlink_to("nowhere") if left.startswith("j") else (tmp_path / "sweep" / left).touch()
    began = time.monotonic()
    study = sweep.study_of(tmp_path / "sweep", sweep.open_sweep(tmp_path / "sweep", written(tmp_path)))
    killed(tmp_path / "sweep", study, space)
    assert time.monotonic() - began < 20


def test_what_a_power_failure_left_of_a_line_is_cut(tmp_path: Path) -> None:
    space = sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    with (tmp_path / "sweep" / "journal.log").open("a") as file:
        file.write('{"op_code":4,"trial')
    sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    study = sweep.study_of(tmp_path / "sweep", space)
    killed(tmp_path / "sweep", study, space)
    assert len(sweep.study_of(tmp_path / "sweep", space).get_trials()) == 4


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("trials.csv", "journal.log"):
        (tmp_path / "mine" / name).write_text("mine")
        with pytest.raises(sweep.SweepError, match="and no search"):
            sweep.open_sweep(tmp_path / "mine", written(tmp_path))
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["mine", "mine"]


def train_as_the_rate(folder: Path, space: object, ticket: optuna.Trial, *_: object) -> float:
    if ticket.params["optimizer.learning_rate"] in ("0.01", '"0.01"'):
        raise RuntimeError("0.01 crashes")
    return float(ticket.params["optimizer.learning_rate"])


def finished(folder: Path, source: Path, weights: str | None = None) -> optuna.Study:
    space = sweep.open_sweep(folder, source)
    sweep.work(folder, [], weights, 1)
    return sweep.study_of(folder, space)


def test_a_wider_space_keeps_what_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "train", train_as_the_rate)
    place = tmp_path / "sweep"
    finished(place, written(tmp_path))
    before = table(place)
    wider = GRID.replace("[0.001, 0.01]", "[0.001, 0.01, 0.1]").replace('["adam", "sgd"]', '["adam", "sgd", "adamw"]')
    study = finished(place, written(tmp_path, wider))
    rows = table(place)
    assert rows[:4] == before
    assert len({(row["optimizer.learning_rate"], row["optimizer.name"]) for row in rows}) == len(rows) == 9
    assert [row["state"] for row in rows].count("complete") == 6, "0.01 crashes three times"
    assert sweep.best(study).params["optimizer.learning_rate"] == "0.1"
    assert finished(place, written(tmp_path, wider)).study_name == study.study_name
    with pytest.raises(SweepError, match=r"another space.*trial-0002 was trained with"):
        sweep.open_sweep(place, written(tmp_path, GRID.replace("0.01", "0.02")))


def test_a_widening_that_was_killed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "train", train_as_the_rate)
    finished(tmp_path / "sweep", written(tmp_path))
    wider = GRID.replace("[0.001, 0.01]", "[0.001, 0.01, 0.1]")

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr(optuna.Study, "add_trial", kill)
        with pytest.raises(KeyboardInterrupt):
            sweep.open_sweep(tmp_path / "sweep", written(tmp_path, wider))
    assert len(sweep.trials(finished(tmp_path / "sweep", written(tmp_path, wider)))) == 6


def test_a_drawn_search_takes_more_trials_and_wider_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """recipe = "food/basic"
search = "random"
trials = 3
[space]
"optimizer.learning_rate" = { low = 0.001, high = 0.01 }
"""
    monkeypatch.setattr(trial, "train", train_as_the_rate)
    first = [one.params for one in sweep.trials(finished(tmp_path / "sweep", written(tmp_path, text)))]
    text = text.replace("trials = 3", "trials = 5")
    second = [one.params for one in sweep.trials(finished(tmp_path / "sweep", written(tmp_path, text)))]
    text = text.replace("high = 0.01", "high = 0.1").replace("trials = 5", "trials = 6") + '"seed" = [1, 2]\n'
    third = sweep.trials(finished(tmp_path / "sweep", written(tmp_path, text)))
    assert (len(second), len(third)) == (5, 6)
    assert second[:3] == first
    assert [one.params for one in third[:5]] == second
    assert set(third[5].params) == {"optimizer.learning_rate", "seed"}
    with pytest.raises(SweepError, match="has 6 trials, and 2 are asked for"):
        sweep.open_sweep(tmp_path / "sweep", written(tmp_path, text.replace("trials = 6", "trials = 2")))


def test_failed_trials_are_tried_again_when_asked_or_with_other_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "train", train_as_the_rate)
    place = tmp_path / "sweep"
    study = finished(place, written(tmp_path))
    assert sweep.retry(place, study, None, every=False) == 0
    assert sweep.retry(place, study, "none", every=False) == 2
    monkeypatch.setattr(trial, "train", lambda *_: 0.5)
    finished(place, written(tmp_path), "none")
    assert [row["state"] for row in table(place)] == ["complete"] * 4
    assert sweep.retry(place, study, None, every=True) == 0


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("training.epochs = 1", "training.epochs = 2", "another settings .*training.epochs"),
        ("food/standardized", "food/basic", "another recipe .*augmentation"),
    ],
)
def test_a_search_of_another_recipe_or_other_settings_is_refused(
    before: str, after: str, said: str, tmp_path: Path
) -> None:
    sweep.open_sweep(tmp_path / "sweep", written(tmp_path))
    with pytest.raises(SweepError, match=said):
        sweep.open_sweep(tmp_path / "sweep", written(tmp_path, GRID.replace(before, after)))
    sweep.open_sweep(tmp_path / "sweep", written(tmp_path, GRID.replace("epochs = 2", "epochs = 3")))  # `final` may


def test_other_photos_are_refused(tmp_path: Path, folder: Callable[..., Path], two_classes: dict[str, bytes]) -> None:
    def begun_on(photos: Path) -> str:
        return sweep.fingerprint(sweep.open_sweep(tmp_path / "other", written(tmp_path)), [photos])

    first = folder(two_classes)
    sweep.open_sweep(tmp_path / "sweep", written(tmp_path), begun_on(first))
    moved = folder(two_classes, name="moved")
    sweep.open_sweep(tmp_path / "sweep", written(tmp_path), begun_on(moved))
    (moved / "a" / "0.jpg").write_bytes(two_classes["b/0.jpg"])
    with pytest.raises(SweepError, match="begun on other photos"):
        sweep.open_sweep(tmp_path / "sweep", written(tmp_path), begun_on(moved))


def test_the_best_is_trained_where_its_own_settings_are(tmp_path: Path) -> None:
    record = recipe.load("food/basic").record()
    other = recipe.load("food/basic", ["training.epochs=3"]).record()
    assert sweep.place_of_the_best(tmp_path, record, None).name == "best"
    run.create(tmp_path / "best", {"status": "interrupted", "started": run.now(), "recipe": record, "weights": None})
    assert sweep.place_of_the_best(tmp_path, record, None).name == "best"
    assert sweep.place_of_the_best(tmp_path, other, None).name == "best-2"
    assert sweep.place_of_the_best(tmp_path, record, "none").name == "best-2"


@pytest.mark.nightly
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
