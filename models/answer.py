"""The answer for a photo: its labels, and how far they can be relied on."""

from typing import Any, NamedTuple

from foodscene.models.bundle import Bundle
from foodscene.models.engine import Outputs
from foodscene.models.prediction import Prediction, is_sure, label_set, rank


class Answer(NamedTuple):
    """What a model says of a photo."""

    predictions: list[Prediction]
    """Labels with their probabilities, 0 to 1, most probable first."""
    sure: bool
    """Whether the first label is as probable as the bundle's `sure_above` asks, and the photo known."""
    known: bool | None = None
    """Whether the photo is of the kind that the model was trained on; None where the bundle does not say."""
    familiarity: float | None = None
    """The share of validation photos that are less familiar, 0 to 1; None where the bundle does not say."""
    set: list[str] | None = None
    """Labels of which the right one is one as often as the card's `conformal` says, most probable first.

    None where the card does not say, and for a photo that is not known: of that nothing is promised.
    """

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.predictions[0].label

    @property
    def probability(self) -> float:
        """Of the most probable label, 0 to 1."""
        return self.predictions[0].probability


def answer(bundle: Bundle, outputs: Outputs, top_k: int = 5) -> Answer:
    """The answer for what a bundle's engine gave for one photo, with at most `top_k` predictions."""
    predictions = rank(outputs.probabilities[0], bundle.labels, top_k)
    known, familiarity = None, None
    if bundle.familiar and outputs.closeness is not None:
        known = bool(bundle.familiar.known(outputs.closeness)[0])
        familiarity = float(bundle.familiar.familiarity(outputs.closeness)[0])
    sure = is_sure(predictions[0].probability, bundle.card.sure_above) and known is not False
    promised = bundle.card.conformal if bundle.output != "multi_label" and known is not False else None
    labels = label_set(outputs.probabilities[0], bundle.labels, promised.quantile) if promised else None
    return Answer(predictions, sure, known, familiarity, labels)


def reliance(bundle: Bundle, found: Answer) -> dict[str, Any]:
    """What an answer says of how far it can be relied on, besides `sure`, for JSON: what the bundle can say alone."""
    said: dict[str, Any] = {}
    if found.known is not None and found.familiarity is not None:
        said |= {"known": found.known, "familiarity": round(found.familiarity, 4)}
    if bundle.card.conformal and bundle.output != "multi_label":
        said["set"] = found.set
    return said
