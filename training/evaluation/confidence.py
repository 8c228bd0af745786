"""When an answer is called sure: the probability that this takes, and how often sure answers are right."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.prediction import is_sure
from foodscene.training.evaluation import metrics
from foodscene.training.evaluation.calibration import CalibrationError
from foodscene.training.evaluation.metrics import Share

TARGET = 0.95
"""The share of sure answers that are to be right."""


class Confidence(NamedTuple):
    """What becomes of a model's answers where those below a probability are not called sure."""

    above: float
    sure: Share
    """The answers that are called sure, of all."""
    right: Share
    """The right ones, of those that are called sure."""


def choose_threshold(probabilities: NDArray[np.float32], targets: NDArray[np.int64], target: float = TARGET) -> float:
    """The probability from which on answers are to be called sure, chosen on validation photos; 0 to 1.

    It is the lowest at which the share `target` of the sure answers is right: the most answers at that risk (Geifman
    and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017). As there, the photos must show it: the
    lower end of the share's 95 % interval counts, so that few photos make sure of less, and fewer than `fewest`
    of nothing. A model that is right more often than that anyway could call everything sure, strange photos too; so no
    more than the share `target` of the answers is, as is usual where strange photos are to be noticed (Hendrycks and
    Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples", 2017). It is 1 where no
    probability is high enough, and then nothing is sure: see `models.prediction.is_sure`.

    `probabilities` has shape (n, classes), `targets` (n,). Raises `ValueError` where there are no photos.
    """
    if not len(targets):
        raise CalibrationError("There are no validation photos to choose on when an answer is sure.")
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    falling = np.argsort(-confidence, kind="stable")
    lowest, _ = metrics.interval(np.cumsum((predicted == targets)[falling]), np.arange(1, len(targets) + 1))
    # A probability takes all photos that share it, or none.
    last_of_equals = np.append(np.diff(confidence[falling]) < 0, True)
    enough = np.flatnonzero((lowest >= target) & last_of_equals)
    if not len(enough):
        return 1.0
    most = max(0, int(target * len(targets)) - 1)
    # Rounded down, so that the photo whose probability it is remains sure.
    return math.floor(float(confidence[falling[min(enough[-1], most)]]) * 1e4) / 1e4


def fewest(target: float = TARGET) -> int:
    """How many photos it takes, all of them right, to show that the share `target` is; 1 or more."""
    count = 1
    while metrics.share(count, count).low < target:
        count += 1
    return count


def measure_sure(
    probabilities: NDArray[np.float32],
    right: NDArray[np.bool_],
    above: float,
    familiar: NDArray[np.bool_] | None = None,
) -> Confidence:
    """How many answers are called sure from the probability `above` on, and how many of these are right.

    `probabilities` has shape (n, classes), `right` (n,). With `familiar`, (n,), answers for other photos are not sure.
    """
    sure = is_sure(probabilities.max(axis=1), above)
    sure = sure if familiar is None else sure & familiar
    return Confidence(
        above, metrics.share(int(sure.sum()), len(sure)), metrics.share(int(right[sure].sum()), int(sure.sum()))
    )


def as_json(measured: Confidence) -> dict[str, Any]:
    """For programs, with the intervals as pairs of keys."""
    return {
        "sure_above": measured.above,
        "sure": measured.sure._asdict(),
        "sure_top1": measured.right._asdict() if measured.sure.value else None,
    }
