"""The run log copied into MLflow: the real one, in a database of its own."""

from pathlib import Path

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


@pytest.mark.slow
def test_the_command_says_how_many_and_what_is_wrong(root: Path, tmp_path: Path) -> None:
    command = ["runs", "--runs", str(root), "mirror", "--to", f"sqlite:///{tmp_path}/mlflow.db"]
    assert "2 runs copied" in CliRunner().invoke(program, command).output
    with pytest.raises(RunError, match="MLflow cannot be used at nonsense://there"):
        mirror.mirror(log.find_runs(root), "nonsense://there")
