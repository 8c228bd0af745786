"""What a bundle's card says of an evaluation."""

import json
from collections.abc import Sequence

from models.bundle import Bundle
from models.card import Card, CardMetrics, CardStrangers
from training import certainty
from training.evaluation import Evaluation
from training.run import replace
from training.strangers import Strangers


def metrics(evaluation: Evaluation, sure_above: float) -> CardMetrics:
    """The figures that a card gives."""
    top5, certain = evaluation.top5, certainty.measure(evaluation.probabilities, evaluation.right, sure_above)
    return CardMetrics(
        images=len(evaluation.truths),
        top1=round(evaluation.top1.value, 6),
        top5=round(top5.value, 6) if top5 else None,
        calibration_error=round(evaluation.calibration_error, 6),
        sure=round(certain.sure.value, 6),
        sure_top1=round(certain.right.value, 6) if certain.sure.value else None,
    )


def described(card: Card, evaluation: Evaluation, strangers: Sequence[Strangers] = ()) -> Card:
    """The card with these figures, those of each label, and those on photos of nothing that the model knows."""
    rows = {
        label: {"precision": one.precision, "recall": one.recall.value, "f1": one.f1, "photos": one.photos}
        for label, one in evaluation.per_class.items()
    }
    figures = {label: {name: round(float(value), 4) for name, value in row.items()} for label, row in rows.items()}
    return card.model_copy(
        update={
            "metrics": metrics(evaluation, card.sure_above),
            "per_class": figures,
            "strangers": {
                one.name: CardStrangers(photos=one.photos, unsure=round(one.unsure.value, 6)) for one in strangers
            },
        }
    )


def recalibrated(card: Card, sure_above: float) -> Card:
    """The card of a model whose probabilities are others now; without the figures that depend on them."""
    gone = {"calibration_error": None, "sure": None, "sure_top1": None}
    kept = card.metrics.model_copy(update=gone) if card.metrics else None
    return card.model_copy(update={"sure_above": sure_above, "metrics": kept, "strangers": {}})


def files(evaluation: Evaluation) -> dict[str, bytes]:
    """What a bundle keeps of an evaluation beside its card: `confusion.json`."""
    return {"confusion.json": f"{json.dumps(evaluation.confusion())}\n".encode()}


def save(bundle: Bundle, evaluation: Evaluation, strangers: Sequence[Strangers] = ()) -> None:
    """Put the figures into a bundle's card, and its confusion matrix beside it."""
    for name, content in files(evaluation).items():
        replace(bundle.folder / name, content)
    card = described(bundle.card, evaluation, strangers)
    replace(bundle.folder / "card.json", (card.model_dump_json(indent=2, exclude_none=True) + "\n").encode())
