"""The run log copied into MLflow: the real one, in a database of its own."""

import importlib.util
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from foodscene.cli import program
from foodscene.training.runs import log, run
from foodscene.training.runs import mlflow as mirror
from foodscene.training.runs.run import RunError

mlflow = pytest.importorskip("mlflow", reason="needs MLflow: pip install 'foodscene[mlflow]'")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A finished run with a history, one that failed, and one that is going on."""
    recipe = {"name": "food/basic", "optimizer": {"name": "adam", "learning_rate": 0.01}}
    test = {"images": 50, "top1": 0.5, "top1_interval": (0.4, 0.6), "loss": 1.25}
    facts = {"recipe": recipe, "dataset": {"name": "photos"}}
    done = run.create(tmp_path / "runs" / "1-done", {"status": "finished", "started": "1", "test": test, **facts})
    done.save_history([{"epoch": n, "phase": "train", "loss": 2.0 / n, "val_top1": n / 10} for n in (1, 2, 3)])
    run.create(tmp_path / "runs" / "2-failed", {"status": "failed", "started": "2", **facts})
    run.create(tmp_path / "runs" / "3-begun", {"status": "running", "started": "3", **facts})
    return tmp_path / "runs"


@pytest.mark.slow
def test_settings_figures_and_histories_arrive_once(root: Path, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/mlflow.db"
    assert mirror.mirror(log.find_runs(root), address) == 2, "one is still going on"
    assert mirror.mirror(log.find_runs(root), address) == 0

    client = mlflow.MlflowClient(address)
    found = {
        one.info.run_name: one for one in client.search_runs([client.get_experiment_by_name("foodscene").experiment_id])
    }
    assert set(found) == {"1-done", "2-failed"}
    done = found["1-done"]
    assert (done.info.status, found["2-failed"].info.status) == ("FINISHED", "FAILED")
    assert done.data.params["optimizer.learning_rate"] == "0.01"
    assert done.data.params["name"] == "food/basic"
    assert done.data.tags["data"] == "photos"
    assert (done.data.metrics["test_top1"], done.data.metrics["test_loss"]) == (0.5, 1.25)
    curve = client.get_metric_history(done.info.run_id, "loss")
    assert [(point.step, point.value) for point in sorted(curve, key=lambda one: one.step)] == [
        (1, 2.0),
        (2, 1.0),
        (3, pytest.approx(2 / 3)),
    ]


def copies(address: str) -> list[Any]:
    client = mlflow.MlflowClient(address)
    return list(client.search_runs([client.get_experiment_by_name("foodscene").experiment_id]))


@pytest.mark.nightly
def test_runs_of_one_name_in_two_folders_are_two_and_a_moved_one_is_one(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/mlflow.db"
    for sweep in ("one", "two"):
        facts = {"status": "finished", "started": run.now(), "recipe": {"name": "a"}}
        run.create(tmp_path / sweep / "best", {"id": run.new_id(), **facts})
    assert [mirror.mirror(log.find_runs(tmp_path / sweep), address) for sweep in ("one", "two")] == [1, 1]
    (tmp_path / "one").rename(tmp_path / "moved")
    assert mirror.mirror(log.find_runs(tmp_path / "moved"), address) == 0
    assert [one.info.run_name for one in copies(address)] == ["best", "best"]


@pytest.mark.nightly
def test_a_run_that_went_on_is_brought_up_to_date_under_its_own_times(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/mlflow.db"
    recipe = {"name": "food/basic", "training": {"epochs": 3}, "data": {"rename": {"$5": "cheap"}}}
    started = "2026-01-02T03:04:05+00:00"
    facts = {"status": "interrupted", "started": started, "seconds": 4.0, "recipe": recipe}
    one = run.create(tmp_path / "runs" / "one", facts)
    rows = [{"epoch": n, "phase": "train", "loss": 2.0 / n, "seconds": 2.0} for n in (1, 2, 3)]
    one.save_history(rows[:2])
    assert mirror.mirror([one], address) == 1
    [before] = copies(address)
    assert before.info.status == "KILLED"
    assert before.info.end_time - before.info.start_time == 4000
    one.save_history(rows)
    one.update(status="finished", finished="2026-01-02T03:04:15+00:00", test={"top1": 0.5})
    assert mirror.mirror([one], address) == 1
    assert mirror.mirror([one], address) == 0
    [after] = copies(address)
    assert after.info.run_id == before.info.run_id
    assert after.info.status == "FINISHED"
    assert after.info.start_time == datetime.fromisoformat(started).timestamp() * 1000
    assert after.info.end_time - after.info.start_time == 10_000
    assert after.data.metrics["test_top1"] == 0.5
    curve = mlflow.MlflowClient(address).get_metric_history(after.info.run_id, "loss")
    assert sorted((point.step, point.timestamp - after.info.start_time) for point in curve) == [
        (1, 2000),
        (2, 4000),
        (3, 6000),
    ]
    one.update(recipe={**recipe, "training": {"epochs": 9}})  # MLflow changes no parameter
    assert mirror.mirror([one], address) == 1
    [longer] = copies(address)
    assert longer.data.params["training.epochs"] == "9"
    assert len(mlflow.MlflowClient(address).get_metric_history(longer.info.run_id, "loss")) == 3


@pytest.mark.nightly
def test_a_copy_that_was_interrupted_is_finished(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"sqlite:///{tmp_path}/mlflow.db"

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr(mlflow.MlflowClient, "set_terminated", kill)
        with pytest.raises(KeyboardInterrupt):
            mirror.mirror(log.find_runs(root), address)
    assert mirror.mirror(log.find_runs(root), address) == 2
    assert sorted(one.info.status for one in copies(address)) == ["FAILED", "FINISHED"]


@pytest.mark.nightly
def test_a_deleted_experiment_is_a_sentence_with_a_way_out(root: Path, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/mlflow.db"
    mirror.mirror(log.find_runs(root), address)
    client = mlflow.MlflowClient(address)
    client.delete_experiment(client.get_experiment_by_name("foodscene").experiment_id)
    with pytest.raises(RunError, match=r"foodscene was deleted in MLflow.*--experiment"):
        mirror.mirror(log.find_runs(root), address)
    command = ["runs", "--runs", str(root), "mirror", "--to", address, "--experiment", "other"]
    assert "2 runs copied" in CliRunner().invoke(program, command).output


@pytest.mark.parametrize("listens", [True, False])
def test_an_absent_server_is_said_soon(listens: bool, root: Path) -> None:
    with socket.socket() as server:  # one that takes connections and never answers, or none at all
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        address, began = f"http://127.0.0.1:{server.getsockname()[1]}", time.monotonic()
        with pytest.raises(RunError, match=address):
            mirror.mirror(log.find_runs(root), address)
        assert time.monotonic() - began < 10


def test_what_a_database_needs_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"sqlalchemy is not installed.*foodscene\[mlflow\]"):
        mirror.mirror(log.find_runs(root), "sqlite:///mlflow.db")


@pytest.mark.nightly
def test_the_command_says_how_many_and_what_is_wrong(root: Path, tmp_path: Path) -> None:
    command = ["runs", "--runs", str(root), "mirror", "--to", f"sqlite:///{tmp_path}/mlflow.db"]
    assert "2 runs copied" in CliRunner().invoke(program, command).output
    with pytest.raises(RunError, match="MLflow cannot be used at nonsense://there"):
        mirror.mirror(log.find_runs(root), "nonsense://there")
