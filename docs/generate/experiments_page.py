"""Writes the page of the reports' experiments: reported figures, measured ones, data, time, command.

    python -m docs.generate.experiments_page --runs runs

Finished runs are added to the ledger, `docs/experiments.csv`, and none is dropped from it.
"""

import argparse
import sys
from pathlib import Path

from docs.generate import experiments
from foodscene.models import files
from foodscene.training.runs import log

DOCS = Path(__file__).parents[1]


def write(runs: Path, ledger: Path, out: Path) -> str:
    """Take the runs below a folder into a ledger, and write the page of it. Returns a line for people.

    `NAME.notes.md` beside the page, where there is one, ends it. Raises `ValueError` where there is nothing to write.
    """
    found = list(experiments.entries(log.find_runs(runs))) if runs.is_dir() else []
    known = experiments.read(ledger)
    if not found and not known:
        raise ValueError(f"Neither {runs} nor {ledger} has an experiment. Train one, or name the folder: --runs FOLDER")
    merged = experiments.merge(known, found)
    experiments.write(ledger, merged)
    notes = out.with_suffix(".notes.md")
    files.write(out, experiments.page(merged, notes.read_text(encoding="utf-8") if notes.exists() else "").encode())
    measured = {entry.row for entry in merged if entry.started}
    rows = {one.said.row for one in experiments.experiments()}
    return f"{len(measured)} of {len(rows)} rows are measured: {out}"


def main() -> None:
    """What the command line says, done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the folder of runs")
    parser.add_argument("--ledger", type=Path, default=DOCS / "experiments.csv")
    parser.add_argument("--out", type=Path, default=DOCS / "experiments.md", help="the page")
    options = parser.parse_args()
    try:
        print(write(options.runs, options.ledger, options.out))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
