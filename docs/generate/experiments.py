"""The experiments of the reports beside what was measured here: a ledger that grows, and the page made of it.

Run folders stay on the machine that trained. The ledger (`experiments.csv`) is committed: it takes in the runs of every
machine, one line each, and forgets none. A line without a figure says why an experiment has not been run yet, and no
longer counts once it has.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import FileSystemLoader
from pydantic import BaseModel, ConfigDict

from foodscene.models import files
from foodscene.models.text import duration
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.recipes.sections import Reported
from foodscene.training.reports import markdown
from foodscene.training.reports.markdown import Markdown
from foodscene.training.runs.run import Run, RunError

_TEMPLATES = Path(__file__).parent / "templates"
_REPORTS = {
    "A": "Dishes: a food classifier for UECFOOD-256 (Keras, 2017)",
    "B": "Scenes: the Intel image classification challenge",
    "C": "Clothes: a laboratory report on Fashion-MNIST (Keras, 2019)",
    "D": "Digits: an image recognition neural network from scratch (2024)",
    "E": "Faces or background: a course report (2018)",
}


class Experiment(NamedTuple):
    """A shipped recipe that repeats a report's row, and what the report says of it."""

    recipe: Recipe
    said: Reported


class Entry(BaseModel):
    """A line of the ledger: an experiment as it was run once; or, without `started`, why it was not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: str
    recipe: str
    started: str = ""
    command: str = ""
    data: str = ""
    classes: int | None = None
    photos: int | None = None
    """Trained on."""
    tested: int | None = None
    """Test photos."""
    epochs: int | None = None
    planned: int | None = None
    """As many epochs as the recipe had when it was run."""
    best: int | None = None
    """The epoch whose weights were kept."""
    seconds: float | None = None
    top1: float | None = None
    """Shares from 0 to 1, on the test photos."""
    top5: float | None = None
    loss: float | None = None
    device: str = ""
    note: str = ""


class Line(NamedTuple):
    """A line of the page: a run, or why there is none."""

    row: str
    command: str
    reported: str
    measured: str = ""
    data: str = ""
    epochs: str = ""
    time: str = ""
    why: str = ""


def experiments() -> list[Experiment]:
    """The shipped recipes that repeat a report's row, in the reports' order."""
    loaded = (recipes.load(name) for name in recipes.shipped())
    return sorted((Experiment(one, one.reported) for one in loaded if one.reported), key=_place)


def entries(runs: Iterable[Run]) -> Iterator[Entry]:
    """Those of the runs that are experiments of a report, finished and measured."""
    known = {recipe.name: said for recipe, said in experiments()}
    for run in runs:
        record: dict[str, Any] = run.record
        name = record.get("recipe", {}).get("name", "")
        figures = record.get("test") or {}
        if name not in known or not run.finished or "top1" not in figures:
            continue
        dataset = record["dataset"]
        yield Entry(
            row=known[name].row,
            recipe=name,
            started=record["started"],
            command=record["command"],
            data=dataset["name"],
            classes=len(dataset["classes"]),
            photos=dataset["counts"]["train"],
            tested=figures.get("images"),
            epochs=record["epochs"],
            planned=_planned(record["recipe"]),
            best=record["best"]["epoch"],
            seconds=record["seconds"],
            top1=round(figures["top1"], 5),
            top5=round(figures["top5"], 5) if len(dataset["classes"]) > 5 else None,
            loss=round(figures["loss"], 5) if "loss" in figures else None,
            device=record["device"],
            note=_note(run),
        )


def read(path: Path) -> list[Entry]:
    """The ledger; empty where there is none yet. Raises `RunError` where it is damaged."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return [
                Entry.model_validate({key: value for key, value in line.items() if value})
                for line in csv.DictReader(file)
            ]
        except (ValueError, csv.Error) as error:
            raise RunError(f"{path} is no ledger of experiments: {error}") from None


def merge(ledger: Iterable[Entry], new: Iterable[Entry]) -> list[Entry]:
    """Both, in the reports' order; a run that is in both once, as it is in `new`."""
    # Runs begun by a script may have the same second.
    merged = {(entry.recipe, entry.started, entry.command, entry.data): entry for entry in (*ledger, *new)}
    run = {entry.recipe for entry in merged.values() if entry.started}
    order = {recipe.name: number for number, (recipe, _) in enumerate(experiments())}
    kept = [entry for entry in merged.values() if entry.started or entry.recipe not in run]
    return sorted(kept, key=lambda entry: (order.get(entry.recipe, len(order)), entry.started))


def write(path: Path, ledger: Sequence[Entry]) -> None:
    """Write the ledger in one step."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Entry.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(entry.model_dump() for entry in ledger)
    files.write(path, text.getvalue().encode())


def page(ledger: Sequence[Entry], notes: str = "") -> str:
    """The page in Markdown: a table for each report with a line for each run, every row there; `notes` at its end."""
    reports = []
    for letter, title in _REPORTS.items():
        rows = [one for one in experiments() if one.said.row.startswith(letter)]
        lines = [
            line for one in rows for line in _lines(one, [entry for entry in ledger if entry.recipe == one.recipe.name])
        ]
        reports.append((letter, title, lines))
    template = markdown.environment(FileSystemLoader(_TEMPLATES)).get_template("experiments.md")
    return template.render(reports=reports, notes=Markdown(notes.strip()))


def _lines(one: Experiment, found: Sequence[Entry]) -> Iterator[Line]:
    """An experiment's lines: the newest run of each command, or one that says why there is none."""
    recipe, said = one
    minutes = f"; {duration(60 * said.minutes)}" if said.minutes else ""
    reported = (_figures(said, said.top1, said.top5, said.loss) or "no figure") + minutes
    newest = {(entry.command, entry.data): entry for entry in found if entry.started}
    for entry in newest.values():
        # A ledger written before it held the planned epochs tells how many there were, and no more.
        stopped_early = entry.planned not in (None, entry.epochs)
        yield Line(
            said.row,
            entry.command,
            reported,
            measured=_figures(said, entry.top1, entry.top5, entry.loss) + (f"; {entry.note}" if entry.note else ""),
            data=f"{entry.data}: {entry.classes} classes, {entry.photos:,} photos",
            epochs=f"{entry.epochs} of {entry.planned}" if stopped_early else f"{entry.epochs}",
            time=duration(entry.seconds or 0),
        )
    if not newest:
        why = next((entry.note for entry in found if entry.note), "")
        yield Line(said.row, f"foodscene train {recipe.name}", reported, why=why)


def _figures(said: Reported, top1: float | None, top5: float | None, loss: float | None) -> str:
    """Figures as the report in question gives them: D gives errors, E accuracy and loss, A top-1 and top-5."""
    if top1 is None:
        return ""
    if said.row.startswith("D"):
        return f"error {100 * (1 - top1):.2f} %"
    parts = [f"{100 * top1:.2f} %"]
    if top5 is not None and said.row.startswith("A"):
        parts.append(f"{100 * top5:.2f} %")
    if loss is not None and said.loss is not None:
        parts.append(f"loss {loss:.4f}")
    return ", ".join(parts)


def _planned(recipe: dict[str, Any]) -> int:
    """The epochs of a run's own recipe, fine-tuning included. The record outlives the settings of its day."""
    return sum(recipe.get(part, {}).get("epochs", 0) for part in ("training", "finetune"))


def _note(run: Run) -> str:
    notes = []
    if run.record.get("weights") == "none":
        notes.append("weights drawn, not ImageNet's")
    trials = run.folder.parent / "trials.csv"
    if run.record.get("sweep") is None and trials.exists():
        notes.append(f"the best of {len(trials.read_text().splitlines()) - 1} trials, trained for longer")
    return ", ".join(notes)


def _place(one: Experiment) -> tuple[str, int, str]:
    return one.said.row[0], int(one.said.row[1:]), one.recipe.name
