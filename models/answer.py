"""The answer for a photo: its labels, and how far they can be relied on."""

from pathlib import Path
from typing import Any, NamedTuple

from foodscene.models import fallback
from foodscene.models.bundle import Bundle
from foodscene.models.engine import Engine, EngineKind, Outputs
from foodscene.models.fallback import Fallback, Second
from foodscene.models.pixels import read_photo
from foodscene.models.prediction import Prediction, label_set, rank


class Guess(NamedTuple):
    """What a fallback takes a photo for that is not known."""

    model: str
    """The fallback's name."""
    label: str
    probability: float
    """0 to 1, by the fallback."""


class Answer(NamedTuple):
    """What a model says of a photo."""

    predictions: list[Prediction]
    """Labels with their probabilities, 0 to 1, most probable first."""
    sure: bool
    """Whether the first label is as probable as the bundle's `sure_above` asks, and the photo familiar."""
    known: bool | None = None
    """Whether the photo is of the kind that the model was trained on; None where the bundle does not say."""
    familiarity: float | None = None
    """The share of validation photos that are less familiar, 0 to 1; None where the bundle does not say."""
    set: list[str] | None = None
    """Labels of which the right one is one as often as the card's `conformal` says, most probable first.

    None where the card does not say, and for a photo that is not known: of that nothing is promised.
    """
    fallback: Guess | None = None
    """What the bundle's fallback takes a photo for that is not known; None where none was asked."""

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.predictions[0].label

    @property
    def probability(self) -> float:
        """Of the most probable label, 0 to 1."""
        return self.predictions[0].probability


class Answerer:
    """A bundle with its engine and its fallback's, which is opened when it is first asked. Safe in several threads."""

    def __init__(self, bundle: Bundle, engine: Engine, kind: EngineKind = "auto", threads: int = 0) -> None:
        """`kind` and `threads` are those with which the fallback's engine is opened: see `models.engine`."""
        self.bundle, self.engine = bundle, engine
        self._kind, self._threads = kind, threads
        self._opened: tuple[Fallback, Engine] | None = None
        self._looked = bundle.card.fallback is None

    def answer(self, photo: bytes | Path, top_k: int = 5) -> Answer:
        """The answer for a photo, with at most `top_k` predictions. Raises `PhotoError` and `OSError`."""
        outputs = self.engine.look(read_photo(photo, self.bundle.spec)[None])
        second = None
        if fallback.asks(self.bundle, outputs)[0] and (opened := self._beside()):
            other, engine = opened
            second = Second(other, engine.look(read_photo(photo, other.bundle.spec)[None]))
        return answer(self.bundle, outputs, top_k, second)

    def _beside(self) -> tuple[Fallback, Engine] | None:
        if not self._looked:
            self._opened = fallback.open_beside(self.bundle, self._kind, self._threads)
            self._looked = True
        return self._opened


def answer(bundle: Bundle, outputs: Outputs, top_k: int = 5, second: Second | None = None) -> Answer:
    """The answer for what a bundle's engine gave for one photo, with at most `top_k` predictions.

    `second` is what its fallback gave for it, where it was asked: see `models.fallback`.
    """
    predictions = rank(outputs.probabilities[0], bundle.labels, top_k)
    sure = bool(fallback.sure(bundle, outputs)[0])
    decided, familiarity = fallback.known(bundle, outputs, second), None
    known = None if decided is None else bool(decided[0])
    if bundle.familiar and outputs.closeness is not None:
        familiarity = float(bundle.familiar.familiarity(outputs.closeness)[0])
    promised = bundle.card.conformal if bundle.output != "multi_label" and known is not False else None
    labels = label_set(outputs.probabilities[0], bundle.labels, promised.quantile) if promised else None
    guess = _guess(second) if second and known is False else None
    return Answer(predictions, sure, known, familiarity, labels, guess)


def _guess(second: Second) -> Guess:
    other = second.fallback.bundle
    [first] = rank(second.outputs.probabilities[0], other.labels, 1)
    return Guess(other.name, first.label, first.probability)


def reliance(bundle: Bundle, found: Answer) -> dict[str, Any]:
    """What an answer says of how far it can be relied on, besides `sure`, for JSON: what the bundle can say alone."""
    said: dict[str, Any] = {}
    if found.known is not None and found.familiarity is not None:
        said |= {"known": found.known, "familiarity": round(found.familiarity, 4)}
    if bundle.card.conformal and bundle.output != "multi_label":
        said["set"] = found.set
    if found.fallback:
        said["fallback"] = {**found.fallback._asdict(), "probability": round(found.fallback.probability, 6)}
    return said
