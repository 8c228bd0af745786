"""The portrait of a model: what its page shows, put into words and figures for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError, model_validator

from app.library import Model
from models.bundle import Bundle

_LARGEST_MATRIX = 40
_MISTAKES_NAMED = 5
_HEATS = 10
_COUNTS = ("photos", "images", "support")


class Fact(NamedTuple):
    """Something about a model, by name."""

    name: str
    value: str


class Mistake(NamedTuple):
    """What was taken for what, on how many photos, out of how many."""

    true: str
    told: str
    photos: int
    out_of: int


class Confusion(BaseModel):
    """`confusion.json` of a bundle: counts of test photos, a row for each true label, a column for each one told."""

    labels: list[str]
    matrix: list[list[int]]

    @model_validator(mode="after")
    def _square(self) -> "Confusion":
        if any(len(row) != len(self.labels) for row in self.matrix) or len(self.matrix) != len(self.labels):
            raise ValueError("the matrix needs a row and a column for each label")
        return self

    @classmethod
    def read(cls, bundle: Bundle) -> "Confusion | None":
        """The confusion matrix of a bundle; None where it has none that can be read."""
        try:
            return cls.model_validate_json((bundle.folder / "confusion.json").read_bytes())
        except (OSError, ValidationError):
            return None

    @property
    def mistakes(self) -> list["Mistake"]:
        """The most frequent mistakes."""
        found = [
            Mistake(true, told, count, sum(row))
            for true, row in zip(self.labels, self.matrix, strict=True)
            for told, count in zip(self.labels, row, strict=True)
            if count and told != true
        ]
        return sorted(found, key=lambda mistake: -mistake.photos)[:_MISTAKES_NAMED]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows with their cells, each a count and its share of the row in tenths; none above forty labels."""
        if len(self.labels) > _LARGEST_MATRIX:
            return []
        return [
            {
                "label": label,
                "cells": [{"count": count, "heat": -(-_HEATS * count // max(1, sum(row)))} for count in row],
            }
            for label, row in zip(self.labels, self.matrix, strict=True)
        ]


def figures(bundle: Bundle, percent: Any) -> list[Fact]:
    """The numbers that stand out on a model's page. `percent` puts a share into words."""
    metrics = bundle.card.metrics
    found = []
    if metrics:
        found.append(Fact(f"right at first, of {metrics.images:,} test photos", percent(metrics.top1)))
        if metrics.top5 is not None:
            found.append(Fact("right within five", percent(metrics.top5)))
        if metrics.calibration_error is not None:
            found.append(Fact("calibration error", percent(metrics.calibration_error)))
    found.append(Fact("labels", str(len(bundle.labels))))
    return found


def size(bundle: Bundle) -> str:
    """What the network takes, width first."""
    return f"{bundle.spec.width} \u00d7 {bundle.spec.height}"


def per_class(bundle: Bundle) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns of the table of labels, and its rows: a cell is a text, and a share where it is one."""
    measured = bundle.card.per_class
    names = dict.fromkeys(name for row in measured.values() for name in row)
    columns = [name for name in names if not name.endswith(("_low", "_high"))]
    rows = [
        {"label": label, "cells": [_cell(column, measured[label]) for column in columns]}
        for label in bundle.labels
        if label in measured
    ]
    return [column.replace("_", " ") for column in columns], rows


def facts(model: Model) -> list[Fact]:
    """How a model was made, and how it runs here."""
    bundle = model.bundle
    card, spec = bundle.card, bundle.spec
    fits = {"squash": "stretched to it", "crop": "cut to it around the middle", "pad": "whole, with borders"}
    colours = "colours" if spec.channels == 3 else "shades of grey"
    found = [Fact("Input", f"{size(bundle)} pixels, {colours}; a photo is {fits[spec.fit]}")]
    if card.dataset:
        counts = ", ".join(f"{count:,} {split}" for split, count in card.dataset.counts.items())
        found.append(Fact("Photos", f"{card.dataset.name}{f' ({counts})' if counts else ''}"))
    if command := card.recipe.get("command"):
        found.append(Fact("Trained by", str(command)))
    if card.created:
        found.append(Fact("Made", f"{card.created:%d %B %Y}".lstrip("0")))
    if card.versions:
        found.append(Fact("With", ", ".join(f"{name} {version}" for name, version in card.versions.items())))
    if card.caution:
        found.append(Fact("Not for", card.caution))
    if card.license:
        found.append(Fact("Terms", card.license))
    found.append(Fact("Called sure", f"from a probability of {card.sure_above:.0%}"))
    if card.strangers:
        shares = ", ".join(f"{one.unsure:.0%} of {name}" for name, one in card.strangers.items())
        found.append(Fact("Not sure of strange pictures", shares))
    found.append(Fact("Runs here on", {"onnx": "ONNX Runtime", "keras": "Keras"}.get(model.engine, model.engine)))
    found.append(Fact("SHA-256", bundle.sha256))
    return found


def toml(settings: Mapping[str, Any], table: str = "") -> str:
    """A recipe's settings in TOML's spelling: values first, then each table."""
    values = [f"{key} = {_value(value)}" for key, value in settings.items() if not isinstance(value, Mapping)]
    head = [f"[{table}]"] if table and values else []
    blocks = ["\n".join(head + values)] if values else []
    blocks += [
        toml(value, f"{table}.{key}" if table else key) for key, value in settings.items() if isinstance(value, Mapping)
    ]
    return "\n\n".join(block for block in blocks if block)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _cell(column: str, row: Mapping[str, float]) -> dict[str, Any]:
    """A figure in words, with its interval where the card has one."""
    value, low, high = row.get(column), row.get(f"{column}_low"), row.get(f"{column}_high")
    if value is None:
        return {"text": "", "share": None}
    if column in _COUNTS:
        return {"text": f"{value:,.0f}", "share": None}
    interval = f" ({low * 100:.0f}\u2013{high:.0%})" if low is not None and high is not None else ""
    return {"text": f"{value:.0%}{interval}", "share": value}
