"""The README of a bundle: its card for people to read."""

from collections.abc import Iterator, Sequence
from typing import Any

from models.card import Card, CardMetrics

_MISTAKES = 8


def text(card: Card, labels: Sequence[str], confusion: dict[str, Any] | None = None) -> str:
    """The card as Markdown. `confusion` is what `confusion.json` holds: labels, and a row of counts for each."""
    knows = f"It knows {len(labels)} labels: {', '.join(labels)}."
    sections = [f"# {card.title or card.name}", card.description, knows]
    if card.caution:
        sections += ["## What it is not for", card.caution]
    if training := list(_training(card)):
        sections += ["## What it was trained on", *training]
    if card.metrics:
        sections += ["## How well it does", *_figures(card, card.metrics)]
    if card.per_class:
        sections += ["## Each label", "\n".join(_per_class(card))]
    if confusion:
        sections += ["## What it takes for what", *_confusion(confusion)]
    sections += ["## Use it", _use(card)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _training(card: Card) -> Iterator[str]:
    if card.dataset:
        photos = ", ".join(f"{count:,} {split}" for split, count in card.dataset.counts.items())
        yield f"{card.dataset.name}: {photos} photos."
    if command := card.recipe.get("command"):
        yield f"```sh\n{command}\n```"
    if card.license:
        yield card.license


def _figures(card: Card, whole: CardMetrics) -> Iterator[str]:
    """The table of test figures, and what becomes of photos of something else."""
    columns = {**card.parts, "together": whole} if card.parts else {"test photos": whole}
    rows = {
        "photos": [f"{one.images:,}" for one in columns.values()],
        "top-1": [_share(one.top1, one.top1_interval) for one in columns.values()],
        "top-5": [_share(one.top5, one.top5_interval) for one in columns.values()],
        "calibration error, 15 bins": [_share(one.calibration_error) for one in columns.values()],
        "answers that are called sure": [_share(one.sure) for one in columns.values()],
        "right among these": [_share(one.sure_top1) for one in columns.values()],
    }
    said = [["", *columns], *([name, *cells] for name, cells in rows.items() if any(cells))]
    yield "Measured on test photos, which training never saw; 95 % intervals in brackets.\n\n" + _table(said)
    yield f"An answer is called sure from a probability of {card.sure_above:.2f} on."
    if card.strangers:
        strange = [[name, f"{one.photos:,}", _share(one.unsure)] for name, one in card.strangers.items()]
        yield "Photos of nothing that it knows:\n\n" + _table([["", "photos", "not called sure"], *strange])


def _per_class(card: Card) -> Iterator[str]:
    rows = [
        [
            label,
            f"{row['photos']:.0f}",
            _share(row["precision"]),
            _share(row["recall"], (row["recall_low"], row["recall_high"]) if "recall_low" in row else None),
            _share(row["f1"]),
        ]
        for label, row in card.per_class.items()
    ]
    yield _table([["", "photos", "precision", "recall", "F1"], *rows])


def _confusion(confusion: dict[str, Any]) -> Iterator[str]:
    labels, matrix = confusion["labels"], confusion["matrix"]
    wrong = [
        (count, true, told, sum(row))
        for true, row in zip(labels, matrix, strict=True)
        for told, count in zip(labels, row, strict=True)
        if true != told and count
    ]
    worst = sorted(wrong, key=lambda one: -one[0])[:_MISTAKES]
    if worst:
        yield "Its most frequent mistakes:"
        yield "\n".join(f"- {true} taken for {told}: {count} of {of} photos" for count, true, told, of in worst)
    yield "A row for each true label, a column for each one told:"
    rows = ([true, *(str(count or "·") for count in row)] for true, row in zip(labels, matrix, strict=True))
    yield _table([["", *labels], *rows])


def _use(card: Card) -> str:
    return f"""`foodscene serve` answers with it, as does any Keras:

```python
import keras

model = keras.models.load_model("{card.name}/model.h5")
# photos: float32, 0-255, shape (n, height, width, channels); answers probabilities of shape (n, labels)
model.predict(photos)
```"""


def _share(value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return ""
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else f"{value:.3f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = rows
    rule = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))
