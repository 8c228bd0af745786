from pathlib import Path

import pytest

from docs.generate.experiments_page import write
from foodscene.training.runs import run

RECORD = {
    "status": "finished",
    "recipe": {"name": "faces/plain", "training": {"epochs": 13}},
    "command": "foodscene train faces/plain --data faces",
    "started": "2026-11-21",
    "dataset": {"name": "faces", "classes": ["face", "background"], "counts": {"train": 20_000}},
    "epochs": 13,
    "best": {"epoch": 12},
    "seconds": 60,
    "device": "",
    "test": {"images": 2_000, "top1": 0.99, "top5": 1.0, "loss": 0.03},
}


@pytest.mark.slow
def test_runs_go_into_the_ledger_and_the_page_with_its_notes(tmp_path: Path) -> None:
    run.create(tmp_path / "runs" / "one", RECORD)
    (tmp_path / "experiments.notes.md").write_text("## By hand\n")
    ledger, out = tmp_path / "experiments.csv", tmp_path / "experiments.md"
    assert write(tmp_path / "runs", ledger, out).startswith("1 of 45 rows are measured")
    page = out.read_text()
    assert "| 99.00 %, loss 0.0300 | faces: 2 classes, 20,000 photos | 13 |" in page
    assert page.endswith("## By hand\n")
    write(tmp_path / "elsewhere", ledger, out)
    assert out.read_text() == page


def test_nothing_to_write_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Train one"):
        write(tmp_path / "runs", tmp_path / "experiments.csv", tmp_path / "experiments.md")
