"""The README of a bundle: its card for people to read."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from foodscene.models.card import Card, CardMetrics
from foodscene.models.confusion import Confusion
from foodscene.training.reports import markdown
from foodscene.training.reports.markdown import Markdown


def text(card: Card, labels: Sequence[str], confusion: dict[str, Any] | None = None) -> str:
    """The card as Markdown. `confusion` is what `confusion.json` holds: labels, and a row of counts for each."""
    found = Confusion.model_validate(confusion) if confusion else None
    return (
        markdown.environment()
        .get_template("readme.md")
        .render(
            card=card,
            labels=labels,
            figures=list(_figures(card, card.metrics)) if card.metrics else [],
            strange=list(_strange(card)) if card.strangers else [],
            each=list(_per_class(card)) if card.per_class else [],
            confusion=found,
            counts=list(_counts(found)) if found else [],
            model=Markdown(json.dumps(f"{card.name}/model.h5", ensure_ascii=False)),
        )
    )


def _figures(card: Card, whole: CardMetrics) -> Iterator[list[str]]:
    """The table of test figures."""
    columns = {**card.parts, "together": whole} if card.parts else {"test photos": whole}
    rows: dict[str, list[str]] = {
        "photos": [f"{one.images:,}" for one in columns.values()],
        "top-1": [_share(one.top1, one.top1_interval) for one in columns.values()],
        "top-5": [_share(one.top5, one.top5_interval) for one in columns.values()],
        "calibration error, 15 bins": [_share(one.calibration_error) for one in columns.values()],
        "answers that are called sure": [_share(one.sure) for one in columns.values()],
        "right among these": [_share(one.sure_top1) for one in columns.values()],
    }
    yield ["", *columns]
    yield from ([name, *cells] for name, cells in rows.items() if any(cells))


def _strange(card: Card) -> Iterator[list[str]]:
    """What becomes of photos of something else."""
    yield ["", "photos", "not called sure"]
    yield from ([name, f"{one.photos:,}", _share(one.unsure)] for name, one in card.strangers.items())


def _per_class(card: Card) -> Iterator[list[str]]:
    yield ["", "photos", "precision", "recall", "F1"]
    for label, row in card.per_class.items():
        yield [
            label,
            f"{row['photos']:.0f}",
            _share(row["precision"]),
            _share(row["recall"], (row["recall_low"], row["recall_high"]) if "recall_low" in row else None),
            _share(row["f1"]),
        ]


def _counts(confusion: Confusion) -> Iterator[list[str]]:
    yield ["", *confusion.labels]
    for true, row in zip(confusion.labels, confusion.matrix, strict=True):
        yield [true, *(str(count or "·") for count in row)]


def _share(value: float | None, interval: Sequence[float] | None = None) -> Markdown:
    if value is None:
        return Markdown()
    return Markdown(f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else f"{value:.3f}")
