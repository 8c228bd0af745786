"""The table of docs/from-scratch.md: what each step of report D brought, there and here, with either backend."""

from collections.abc import Sequence
from pathlib import Path

from docs.generate import experiments
from docs.generate.experiments import Entry
from docs.generate.tables import table

_LEDGER = Path(__file__).parents[1] / "experiments.csv"

STEPS = {
    "D1": "three dense layers, squared error, a step for every picture",
    "D2": "a step for every 16 pictures",
    "D3": "softmax and cross-entropy: a network that is sure and wrong learns fastest",
    "D4": "Adam",
    "D5": "dropout: no unit may count on another one",
    "D6": "a second layer, of ReLU",
    "D7": "a quarter of the pictures altered",
    "D8": "He's first weights, and an end when nothing gets better",
    "D9": "two convolutions",
    "D10": "half of the pictures altered, and a rate that falls",
    "D11": "four convolutions",
    "D12": "four of five pictures altered",
}
"""What is new in a row."""


def steps() -> str:
    """The steps with their test errors: the report's, and those of the newest runs of the recipes as they are."""
    entries = experiments.read(_LEDGER)
    said = {one.said.row: one for one in experiments.experiments()}
    rows = [
        (
            row,
            new,
            _error(said[row].said.top1),
            _error(newest(entries, row, scratch=False)),
            _error(newest(entries, row, scratch=True)),
        )
        for row, new in STEPS.items()
    ]
    return table(
        ("row", "what is new", "the report's error", "here, with Keras", "here, with `--backend scratch`"), rows
    )


def newest(entries: Sequence[Entry], row: str, *, scratch: bool) -> float | None:
    """The share of digits that the newest run of a row's recipe, nothing set otherwise, had right; None without one."""
    runs = [
        one
        for one in entries
        if one.row == row
        and one.started
        and " --set " not in one.command
        and " --teacher " not in one.command
        and one.command.endswith(" --backend scratch") == scratch
    ]
    return max(runs, key=lambda one: one.started).top1 if runs else None


def _error(top1: float | None) -> str:
    return f"{100 * (1 - top1):.2f} %" if top1 is not None else ""
