"""The model card: what a bundle says of an evaluation, for programs (`card.json`) and for people (`README.md`)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import PackageLoader

from foodscene.models.bundle import CONFUSION, Bundle
from foodscene.models.card import Card, CardConformal, CardMetrics, CardOutOfDistribution
from foodscene.models.confusion import Confusion
from foodscene.models.files import write
from foodscene.models.saving import is_ours, write_card
from foodscene.training.evaluation import confidence, conformal
from foodscene.training.evaluation.evaluation import Evaluation
from foodscene.training.evaluation.metrics import Share
from foodscene.training.evaluation.out_of_distribution import OutOfDistribution
from foodscene.training.reports import markdown
from foodscene.training.reports.markdown import Markdown


def metrics(evaluation: Evaluation, sure_above: float, promised: CardConformal | None = None) -> CardMetrics:
    """The figures that a card gives; those of sets of labels where they are `promised`."""
    top5, known = evaluation.top5, evaluation.known
    certain = confidence.measure_sure(evaluation.probabilities, evaluation.right, sure_above, evaluation.familiar)
    sets = conformal.measure(evaluation.probabilities, evaluation.targets, promised.quantile) if promised else None
    return CardMetrics(
        images=len(evaluation.targets),
        folds=evaluation.folds or None,
        top1=round(evaluation.top1.value, 6),
        top1_interval=_interval(evaluation.top1),
        top5=round(top5.value, 6) if top5 else None,
        top5_interval=_interval(top5) if top5 else None,
        calibration_error=round(evaluation.calibration_error, 6),
        sure=round(certain.sure.value, 6),
        sure_top1=round(certain.right.value, 6) if certain.sure.value else None,
        known=None if known is None else round(float(known.mean()), 6),
        set_coverage=round(sets.coverage.value, 6) if sets else None,
        set_size=round(sets.size, 4) if sets else None,
    )


def described(
    card: Card,
    evaluation: Evaluation,
    parts: Mapping[str, Evaluation] | None = None,
    outside: Sequence[OutOfDistribution] = (),
) -> Card:
    """The card with these figures, those of each label, of each data set where there are several, and those on photos
    of nothing that the model knows.
    """
    per_class = {
        label: {
            "precision": one.precision,
            "recall": one.recall.value,
            "recall_low": one.recall.low,
            "recall_high": one.recall.high,
            "f1": one.f1,
            "photos": one.photos,
        }
        for label, one in evaluation.per_class.items()
    }
    several = parts if parts and len(parts) > 1 else {}
    return card.model_copy(
        update={
            "metrics": metrics(evaluation, card.sure_above, card.conformal),
            "parts": {name: metrics(one, card.sure_above, card.conformal) for name, one in several.items()},
            "per_class": {
                label: {name: round(float(value), 4) for name, value in row.items()} for label, row in per_class.items()
            },
            "out_of_distribution": {one.name: _outside(one) for one in outside},
        }
    )


def _outside(one: OutOfDistribution) -> CardOutOfDistribution:
    return CardOutOfDistribution(
        photos=one.photos,
        unsure=round(one.unsure.value, 6),
        known=round(one.known.value, 6) if one.known else None,
        auroc=round(one.decides.auroc, 6),
        false_alarms=round(one.decides.false_alarms, 6),
        auroc_probability=round(one.probability.auroc, 6),
        false_alarms_probability=round(one.probability.false_alarms, 6),
    )


def recalibrated(card: Card, sure_above: float, photos: int, promised: CardConformal | None = None) -> Card:
    """The card of a model whose probabilities are others now, as so many validation photos showed.

    It is without the figures that depend on them.
    """
    gone = dict.fromkeys(("calibration_error", "sure", "sure_top1", "known", "set_coverage", "set_size"))
    kept = card.metrics.model_copy(update=gone) if card.metrics else None
    parts = {name: one.model_copy(update=gone) for name, one in card.parts.items()}
    changed = {"sure_above": sure_above, "validation_photos": photos, "conformal": promised, "fallback": None}
    return card.model_copy(update={**changed, "metrics": kept, "parts": parts, "out_of_distribution": {}})


def files(card: Card, evaluation: Evaluation) -> dict[str, bytes]:
    """What a bundle keeps of an evaluation beside its card: `confusion.json`, and the card for people to read."""
    confusion = evaluation.confusion()
    return {
        CONFUSION: f"{json.dumps(confusion)}\n".encode(),
        "README.md": readme(card, evaluation.labels, confusion).encode(),
    }


def save(
    bundle: Bundle, evaluation: Evaluation, parts: Mapping[str, Evaluation], outside: Sequence[OutOfDistribution] = ()
) -> None:
    """Put the figures into a bundle's card, and write anew what stands beside it.

    In a bundle that was made elsewhere, other files of these names and what else its card says stay as they are.
    """
    card = described(bundle.card, evaluation, parts, outside)
    ours = is_ours(bundle.folder)
    for name, content in files(card, evaluation).items():
        if ours or not (bundle.folder / name).exists():
            write(bundle.folder / name, content)
    write_card(bundle.folder, card)


def readme(card: Card, labels: Sequence[str], confusion: dict[str, Any] | None = None) -> str:
    """The card as Markdown. `confusion` is what `confusion.json` holds: labels, and a row of counts for each."""
    found = Confusion.model_validate(confusion) if confusion else None
    return (
        markdown.environment(PackageLoader("foodscene.training"))
        .get_template("readme.md")
        .render(
            card=card,
            labels=labels,
            figures=list(_figures(card, card.metrics)) if card.metrics else [],
            measured_on=_measured_on(card.metrics) if card.metrics else "",
            strange=list(_strange(card)) if card.out_of_distribution else [],
            each=list(_per_class(card)) if card.per_class else [],
            confusion=found,
            counts=list(_counts(found)) if found else [],
            model=Markdown(json.dumps(f"{card.name}/model.h5", ensure_ascii=False)),
        )
    )


def _figures(card: Card, whole: CardMetrics) -> Iterator[list[str]]:
    """The table of test figures."""
    columns = (
        {**card.parts, "together": whole}
        if card.parts
        else {"cross-validation" if whole.folds else "test photos": whole}
    )
    rows: dict[str, list[str]] = {
        "photos": [f"{one.images:,}" for one in columns.values()],
        "top-1": [_rounded(one.top1, one.top1_interval) for one in columns.values()],
        "top-5": [_rounded(one.top5, one.top5_interval) for one in columns.values()],
        "calibration error, 15 bins": [_rounded(one.calibration_error) for one in columns.values()],
        "answers that are called sure": [_rounded(one.sure) for one in columns.values()],
        "right among these": [_rounded(one.sure_top1) for one in columns.values()],
        "photos that are called known": [_rounded(one.known) for one in columns.values()],
        "sets that hold the right label": [_rounded(one.set_coverage) for one in columns.values()],
        "labels in a set": [_rounded(one.set_size) for one in columns.values()],
    }
    yield ["", *columns]
    yield from ([name, *cells] for name, cells in rows.items() if any(cells))


def _measured_on(metrics: CardMetrics) -> str:
    """Which photos the figures are of, in a sentence's words."""
    if metrics.folds:
        return f"all photos, each answered by one of {metrics.folds} networks trained without it (cross-validation)"
    return "test photos, which training never saw"


def _strange(card: Card) -> Iterator[list[str]]:
    """What becomes of photos of something else."""
    sets = card.out_of_distribution
    columns: dict[str, list[float | None]] = {
        "not called sure": [one.unsure for one in sets.values()],
        "called known": [one.known for one in sets.values()],
        "AUROC": [one.auroc for one in sets.values()],
        "false alarms at 95 % kept": [one.false_alarms for one in sets.values()],
        "AUROC of the probability": [one.auroc_probability for one in sets.values()],
    }
    shown = {name: values for name, values in columns.items() if values != [None] * len(sets)}
    yield ["", "photos", *shown]
    for row, (name, one) in enumerate(sets.items()):
        yield [name, f"{one.photos:,}", *(_rounded(values[row]) for values in shown.values())]


def _per_class(card: Card) -> Iterator[list[str]]:
    yield ["", "photos", "precision", "recall", "F1"]
    for label, row in card.per_class.items():
        yield [
            label,
            f"{row['photos']:.0f}",
            _rounded(row["precision"]),
            _rounded(row["recall"], (row["recall_low"], row["recall_high"]) if "recall_low" in row else None),
            _rounded(row["f1"]),
        ]


def _counts(confusion: Confusion) -> Iterator[list[str]]:
    yield ["", *confusion.labels]
    for true, row in zip(confusion.labels, confusion.matrix, strict=True):
        yield [true, *(str(count or "·") for count in row)]


def _rounded(value: float | None, interval: Sequence[float] | None = None) -> Markdown:
    if value is None:
        return Markdown()
    return Markdown(f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else f"{value:.3f}")


def _interval(share: Share) -> tuple[float, float]:
    return round(share.low, 4), round(share.high, 4)
