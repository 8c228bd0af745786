"""The command `runs experiments`: what the reports say beside what was measured."""

from pathlib import Path
from typing import Annotated

import typer


def experiments(
    context: typer.Context,
    ledger: Annotated[Path, typer.Option(help="The ledger: finished runs are added to it, none is dropped.")] = Path(
        "docs/experiments.csv"
    ),
    out: Annotated[Path, typer.Option(help="The page. NAME.notes.md beside it, where there is one, ends it.")] = Path(
        "docs/experiments.md"
    ),
) -> None:
    """Write the page of the reports' experiments: reported figures, measured ones, data, time, command."""
    from foodscene.models import files
    from foodscene.training import experiments as log
    from foodscene.training.runs import log as runs
    from foodscene.training.runs.run import RunError

    root: Path = context.obj
    found = list(log.entries(runs.find(root))) if root.is_dir() else []
    known = log.read(ledger)
    if not found and not known:
        raise RunError(f"Neither {root} nor {ledger} has an experiment. Train one, or name the folder: --runs FOLDER.")
    merged = log.merge(known, found)
    log.write(ledger, merged)
    notes = out.with_suffix(".notes.md")
    files.write(out, log.page(merged, notes.read_text(encoding="utf-8") if notes.exists() else "").encode())
    measured = {entry.row for entry in merged if entry.started}
    rows = {one.said.row for one in log.experiments()}
    typer.echo(f"{len(measured)} of {len(rows)} rows are measured: {out}")
