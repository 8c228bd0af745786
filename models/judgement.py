"""What is thought of an answer: whether it is sure, whether the photo is known, and which labels it may have."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.bundle import Bundle
from foodscene.models.prediction import rank


class Judgement(NamedTuple):
    """What is thought of an answer. `known`, `familiarity` and `set` are None where the bundle does not say them."""

    sure: bool
    """Whether the first label is probable enough, and the photo known where that can be told."""
    known: bool | None
    """Whether the photo is like those that the model learned from."""
    familiarity: float | None
    """The share of validation photos that are less familiar, 0 to 1."""
    set: list[str] | None
    """Labels one of which is right 95 times of 100, most probable first; None too where the photo is not known."""

    def as_json(self) -> dict[str, Any]:
        """What an answer says of itself; what the bundle does not say is absent."""
        said: dict[str, Any] = {}
        if self.known is not None and self.familiarity is not None:
            said |= {"known": self.known, "familiarity": round(self.familiarity, 4)}
        said["sure"] = self.sure
        if self.set is not None:
            said["set"] = self.set
        return said


def judge(probabilities: NDArray[np.float32], familiarity: float | None, bundle: Bundle) -> Judgement:
    """What a bundle's card and its familiarity say of an answer, for one photo's probabilities of shape (classes,).

    The set is that of conformal prediction (LAC; Sadinle, Lei and Wasserman, "Least Ambiguous Set-Valued Classifiers
    with Bounded Error Levels", 2019): all labels from a probability on, or the first one where none reaches it.
    """
    card = bundle.card
    known = None if familiarity is None or not bundle.familiar else familiarity >= bundle.familiar.known_above
    sure = float(probabilities.max()) >= card.sure_above and known is not False
    labels = None
    if card.set_above is not None and known is not False and bundle.output != "multi_label":
        many = max(1, int((probabilities >= card.set_above).sum()))
        labels = [label for label, _ in rank(probabilities, bundle.labels, many)]
    return Judgement(sure, known, familiarity, labels)
