from pathlib import Path
from typing import Any

import pytest

from docs.generate import experiments
from docs.generate.experiments import Entry
from foodscene.training.runs import run
from foodscene.training.runs.run import Run, RunError

ROWS = [f"A{n}" for n in range(1, 20)] + ["B1", "B2", "B3", "C0", "C1", "C2", "C3", "C4"]
ROWS += [f"D{n}" for n in range(1, 14)] + [f"E{n}" for n in range(1, 6)]


def finished(root: Path, name: str, recipe: str = "mnist/softmax", **facts: Any) -> Run:
    record = {
        "status": "finished",
        "recipe": {"name": recipe, "training": {"epochs": 30}, "finetune": {"epochs": 10}},
        "command": f"foodscene train {recipe} --data mnist",
        "started": f"2026-11-21T07:00:0{name}+00:00",
        "dataset": {"name": "mnist", "classes": list("0123456789"), "counts": {"train": 54_000}},
        "epochs": 7,
        "best": {"epoch": 7},
        "seconds": 61.5,
        "device": "4 cores",
        "test": {"images": 10_000, "top1": 0.9712, "top5": 0.999, "loss": 0.1},
    }
    return run.create(root / name, {**record, **facts})


def lines(page: str, row: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith(f"| {row} |")]


def test_every_row_of_the_reports_is_on_the_page() -> None:
    page = experiments.page([])
    assert [one for one in ROWS if not lines(page, one)] == []
    assert {one.said.row for one in experiments.experiments()} == set(ROWS)
    assert len(lines(page, "C1")) == 3
    assert "12.75 %, 18.00 %; 2 h 28 | not run yet" in lines(page, "A14")[0]


def test_a_run_stands_beside_what_was_reported(tmp_path: Path) -> None:
    [entry] = experiments.entries([finished(tmp_path, "1")])
    [line] = lines(experiments.page([entry]), "D3")
    assert line == (
        "| D3 | `foodscene train mnist/softmax --data mnist` | error 3.10 % | error 2.88 % | "
        "mnist: 10 classes, 54,000 photos | 7 of 40 | 62 s |"
    )


def test_a_run_that_did_all_epochs_of_its_recipe_went_to_its_end(tmp_path: Path) -> None:
    [entry] = experiments.entries([finished(tmp_path, "1", epochs=40)])
    from_before_they_were_kept = entry.model_copy(update={"planned": None})
    for one in (entry, from_before_they_were_kept):
        [line] = lines(experiments.page([one]), "D3")
        assert line.endswith("| 40 | 62 s |")


def test_only_finished_experiments_of_a_report_count(tmp_path: Path) -> None:
    runs = [
        finished(tmp_path, "1", status="interrupted"),
        finished(tmp_path, "2", recipe="photos/few"),
        finished(tmp_path, "3", test={}),
        finished(tmp_path, "4", weights="none"),
    ]
    [entry] = experiments.entries(runs)
    assert entry.note == "weights drawn, not ImageNet's"


def test_runs_of_one_recipe_may_begin_in_the_same_second(tmp_path: Path) -> None:
    began = "2026-11-21T07:00:00+00:00"
    plain = finished(tmp_path, "1", started=began)
    other = finished(tmp_path, "2", started=began, command="foodscene train mnist/softmax --data mnist --set seed=1")
    assert len(experiments.merge([], experiments.entries([plain, other]))) == 2


@pytest.mark.slow
def test_the_ledger_keeps_the_runs_of_other_machines(tmp_path: Path) -> None:
    ledger = tmp_path / "experiments.csv"
    elsewhere = Entry(
        row="A1", recipe="food/basic", started="2026-01-01", command="c", photos=9, top1=0.2, note='say "a, b"'
    )
    pending = Entry(row="D3", recipe="mnist/softmax", note="an hour")
    experiments.write(ledger, experiments.merge([], [pending, elsewhere]))
    assert experiments.read(ledger) == [elsewhere, pending]
    assert "not run yet: an hour" in lines(experiments.page(experiments.read(ledger)), "D3")[0]
    here = list(experiments.entries([finished(tmp_path, "1")]))
    merged = experiments.merge(experiments.read(ledger), here)
    assert merged == [elsewhere, *here]
    assert experiments.merge(merged, here) == merged


def test_the_newest_run_of_a_command_is_shown(tmp_path: Path) -> None:
    test = {"images": 10_000, "top1": 0.5, "top5": 0.9}
    ledger = list(experiments.entries([finished(tmp_path, "1"), finished(tmp_path, "2", test=test)]))
    [line] = lines(experiments.page(ledger), "D3")
    assert "error 50.00 %" in line


def test_notes_end_the_page() -> None:
    assert experiments.page([], "## Tried\n\nMuch.\n").endswith("\n\n## Tried\n\nMuch.\n")


def test_a_damaged_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("row,colour\nA1,red\n")
    with pytest.raises(RunError, match="no ledger"):
        experiments.read(tmp_path / "l.csv")
    assert experiments.read(tmp_path / "none.csv") == []


def test_the_page_is_the_ledger_s() -> None:
    docs = Path(__file__).parents[2] / "docs"
    notes = (docs / "experiments.notes.md").read_text()
    assert experiments.page(experiments.read(docs / "experiments.csv"), notes) == (docs / "experiments.md").read_text()


def test_a_bar_in_a_command_is_no_cell(tmp_path: Path) -> None:
    [entry] = experiments.entries([finished(tmp_path, "1", command="foodscene train mnist/softmax --data a|b")])
    [line] = lines(experiments.page([entry]), "D3")
    assert "| `foodscene train mnist/softmax --data a\\|b` |" in line
