"""What the page of a model shows, put into words and figures for people."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import tomli_w

from foodscene.app.inference.registry import Model
from foodscene.models.bundle import Bundle
from foodscene.models.card import Card
from foodscene.models.outputs import OutputKind
from foodscene.models.text import estimate, percent, spell

_COUNTS = ("photos", "images", "support")


class Fact(NamedTuple):
    """Something about a model, by name."""

    name: str
    value: str


def figures(bundle: Bundle) -> list[Fact]:
    """The numbers that stand out on a model's page."""
    metrics = bundle.card.metrics
    found = []
    if metrics:
        found.append(Fact(f"right at first, of {metrics.photos}", estimate(metrics.top1, metrics.top1_interval)))
        if metrics.top5 is not None:
            found.append(Fact("right within five", estimate(metrics.top5, metrics.top5_interval)))
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
    return [spell(column) for column in columns], rows


def facts(model: Model, lacking: str = "") -> list[Fact]:
    """How a model was made, and how it runs here; `lacking` says why it goes without its fallback, if it does."""
    bundle = model.bundle
    card, spec = bundle.card, bundle.spec
    fits = {"squash": "stretched to it", "crop": "cut to it around the middle", "pad": "whole, with borders"}
    colours = "colours" if spec.channels == 3 else "shades of grey"
    found = [Fact("Input", f"{size(bundle)} pixels, {colours}; a photo is {fits[spec.fit]}")]
    found.append(Fact("Values", f"{bundle.scaling}"))
    found.append(Fact("Output", _OUTPUTS[bundle.output]))
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
    found += _reliance(bundle, lacking)
    found.append(Fact("Runs here on", {"onnx": "ONNX Runtime", "keras": "Keras"}.get(model.engine, model.engine)))
    found.append(Fact("SHA-256", bundle.sha256))
    return found


def _reliance(bundle: Bundle, lacking: str) -> list[Fact]:
    """When its answers can be relied on, and what it says of photos of something else."""
    card = bundle.card
    found = [Fact("Called sure", _sureness(card))]
    if card.conformal:
        said = f"{card.conformal.coverage:.0%} hold the right label"
        measured = card.metrics.set_coverage if card.metrics else None
        found.append(Fact("Sets of labels", f"{said}; measured {measured:.1%}" if measured is not None else said))
    if bundle.familiar:
        training, validation = bundle.familiar.photos
        found.append(Fact("Known photos", f"by {training:,} training and {validation:,} validation photos"))
    if card.fallback:
        goes_without = f"; now familiarity alone says what it knows. {lacking}" if lacking else ""
        found.append(Fact("Asks where it is not sure", f"{card.fallback.bundle}{goes_without}"))
    if card.foreign:
        foreign = f"{len(card.foreign):,} labels are nothing that a model which asks it stands for"
        found.append(Fact("As a fallback", foreign))
    if card.out_of_distribution:
        shares = ", ".join(f"{one.unsure:.0%} of {name}" for name, one in card.out_of_distribution.items())
        found.append(Fact("Not sure of strange pictures", shares))
    return found


def _sureness(card: Card) -> str:
    said = f"from a probability of {card.sure_above:.0%} on" if card.sure_above < 1 else "nothing"
    return f"{said}, by {card.validation_photos:,} validation photos" if card.validation_photos else said


_OUTPUTS: dict[OutputKind, str] = {
    "softmax": "a softmax: probabilities that add up to 100 %",
    "logits": "logits, of which a softmax makes probabilities",
    "sigmoid": "a sigmoid of one unit: the probability of the second label",
    "multi_label": "a sigmoid for each label: a photo may have several, and their probabilities do not add up",
}


def toml(settings: Mapping[str, Any]) -> str:
    """A recipe's settings as TOML. It has no word for nothing: what is null is left out."""
    return tomli_w.dumps(_said(settings)).strip()


def _said(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _said(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_said(item) for item in value if item is not None]
    return value


def _cell(column: str, row: Mapping[str, float]) -> dict[str, Any]:
    """A figure in words, with its interval where the card has one."""
    value, low, high = row.get(column), row.get(f"{column}_low"), row.get(f"{column}_high")
    if value is None:
        return {"text": "", "share": None}
    if column in _COUNTS:
        return {"text": f"{value:,.0f}", "share": None}
    interval = f" ({low * 100:.0f}\u2013{high:.0%})" if low is not None and high is not None else ""
    return {"text": f"{value:.0%}{interval}", "share": value}
