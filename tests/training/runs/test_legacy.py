"""Records of the old kind."""

import json
from pathlib import Path

import pytest

from foodscene.training.runs import legacy, log
from foodscene.training.runs.run import RunError


def test_old_records_are_taken_in(tmp_path: Path) -> None:
    old = {
        "timestamp": "2019-11-02 10:00:00",
        "info": "three convolutions",
        "optimizer": "rmsprop",
        "batch_size": 64,
        "history": {"loss": [0.9, 0.5], "acc": [0.6, 0.8], "val_loss": [0.8, 0.7], "val_acc": [0.7, 0.75]},
        "test_loss": 0.6,
        "test_acc": 0.77,
    }
    path = tmp_path / "cnn3.json"
    path.write_text(json.dumps(old))
    made = legacy.take_in(path, tmp_path / "runs")
    [found] = log.find_runs(tmp_path / "runs")
    assert found.name == made.name
    assert log.fact(found, "top1") == 0.77
    assert log.fact(found, "best") == {"epoch": 2, "val_loss": 0.7, "val_top1": 0.75}
    assert log.fact(found, "imported.info") == "three convolutions"
    assert [row["top1"] for row in found.load_history()] == [0.6, 0.8]
    path.write_text("[1]")
    with pytest.raises(RunError, match="has no history"):
        legacy.take_in(path, tmp_path / "runs")
