"""Sets of labels with a promise: the right label is one of them in 95 of 100 photos, whatever the network is worth.

Split conformal prediction with least ambiguous sets: a label is in the set where its probability is at least 1 - q
(Sadinle, Lei and Wasserman, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels", 2019), and q is a
quantile of what the right labels of validation photos lack to 1, corrected for their number (Angelopoulos and Bates,
"A Gentle Introduction to Conformal Prediction", 2021).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.card import CardConformal
from foodscene.training.evaluation import metrics
from foodscene.training.evaluation.evaluation import Evaluation
from foodscene.training.evaluation.metrics import Share

COVERAGE = 0.95

Answers = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Probabilities of shape (n, classes) and right labels of shape (n,)."""


class Sets(NamedTuple):
    """How many of a data set's sets hold the right label, and how many labels they have on average."""

    coverage: Share
    size: float


def fit(parts: Sequence[Answers], coverage: float = COVERAGE) -> CardConformal | None:
    """What a card says of its sets, fitted on the validation photos of each data set; the largest quantile counts.

    None where a data set has too few photos for such a promise: 19 for 95 in 100.
    """
    quantiles = [_quantile(*part, coverage) for part in parts if len(part[1])]
    if not quantiles or max(quantiles) > 1:
        return None
    # Rounded up, so that a label whose probability it is remains in its set.
    quantile = min(1.0, math.ceil(max(quantiles) * 1e5) / 1e5)
    return CardConformal(coverage=coverage, quantile=quantile, photos=sum(len(targets) for _, targets in parts))


def measure(probabilities: NDArray[np.float32], targets: NDArray[np.int64], quantile: float) -> Sets:
    """How the sets do on photos; an empty one becomes the first label."""
    inside = probabilities >= np.float32(1 - quantile)
    rows = np.arange(len(targets))
    inside[rows, probabilities.argmax(axis=1)] = True
    hits = int(inside[rows, targets].sum())
    return Sets(metrics.share(hits, len(targets)), float(inside.sum(axis=1).mean()))


def as_json(measured: Evaluation, promised: CardConformal | None) -> dict[str, Any]:
    """What is called known, and how the sets do, for programs; None where the bundle does not say."""
    known = measured.known
    sets = measure(measured.probabilities, measured.targets, promised.quantile) if promised else None
    return {
        "known": None if known is None else metrics.share(int(known.sum()), len(known))._asdict(),
        "sets": {"coverage": sets.coverage._asdict(), "size": sets.size} if sets else None,
    }


def _quantile(probabilities: NDArray[np.float32], targets: NDArray[np.int64], coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest of what the right labels lack; above 1 where there are too few photos."""
    lacking = np.sort(1 - probabilities[np.arange(len(targets)), targets].astype(np.float64))
    rank = math.ceil((len(targets) + 1) * coverage)
    return float(lacking[rank - 1]) if rank <= len(targets) else math.inf
