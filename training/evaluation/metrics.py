"""The figures of a classifier: pure functions from probabilities and targets to numbers.

Throughout, `probabilities` has shape (n, classes), float32, rows summing to 1; `targets` has shape (n,), the index of
the right class of each photo.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

TOP = 5
"""Top-5 is a figure where there are more classes than that."""

BINS = 15
"""Of the calibration error, as in Guo et al., "On Calibration of Modern Neural Networks", 2017."""

_Z = 1.959964  # the normal distribution's quantile at 0.975


class Share(NamedTuple):
    """A share from 0 to 1 and its 95 % interval."""

    value: float
    low: float
    high: float


class ClassFigures(NamedTuple):
    """How well one class is known; `photos` counts those that are of it. Shares are 0 where nothing can be divided."""

    photos: int
    precision: float
    recall: Share
    f1: float


class Bin(NamedTuple):
    """The photos whose highest probability lies in (low, high]: their mean probability, and the share that is right."""

    low: float
    high: float
    photos: int
    confidence: float
    accuracy: float


def share(hits: int, of: int) -> Share:
    """A share with its interval, which for no photos is all that it may be."""
    if not of:
        return Share(0.0, 0.0, 1.0)
    low, high = interval(np.array(hits), np.array(of))
    return Share(hits / of, float(low), float(high))


def interval(hits: NDArray[np.int64], of: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of Wilson's 95 % intervals of shares, which stay inside 0..1 and hold for few photos too (Wilson 1927).

    `hits` and `of`, at least 1, have one shape, which the ends have too.
    """
    value = hits / of
    middle = (value + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    reach = _Z / (1 + _Z**2 / of) * np.sqrt(value * (1 - value) / of + _Z**2 / (4 * of**2))
    return np.maximum(0.0, middle - reach), np.minimum(1.0, middle + reach)


def right_within(probabilities: NDArray[np.float32], targets: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    """Which photos have their class among the `k` most probable ones, shape (n,). Of equals, the first class leads."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return np.asarray((ranked == targets[:, None]).any(axis=1))


def log_loss(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """The mean negative logarithm of the right class's probability."""
    predicted = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return float(-np.log(np.maximum(predicted, np.finfo(np.float32).tiny)).mean())


def confusion(predicted: NDArray[np.int64], targets: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts of photos, shape (classes, classes): a row for each true class, a column for each predicted one."""
    return np.bincount(targets * classes + predicted, minlength=classes**2).reshape(classes, classes)


def per_class(matrix: NDArray[np.int64]) -> list[ClassFigures]:
    """Precision, recall and F1 of every class of a confusion matrix."""
    hits, photos, predicted = np.diag(matrix).tolist(), matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist()
    return [
        ClassFigures(of, hit / said if said else 0.0, share(hit, of), 2 * hit / (of + said) if of + said else 0.0)
        for hit, of, said in zip(hits, photos, predicted, strict=True)
    ]


def together(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order of the classes in which those that are confused stand side by side, shape (classes,).

    Average-linkage clustering by the share of photos that go from one class to the other, its leaves in the order that
    keeps neighbours closest (Bar-Joseph et al. 2001).
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(matrix) < 3:
        return np.arange(len(matrix))
    rates = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    distances = 1 - np.clip((rates + rates.T) / 2, 0, 1)
    np.fill_diagonal(distances, 0)
    return np.asarray(leaves_list(linkage(squareform(distances), "average", optimal_ordering=True)), dtype=np.int64)


def reliability(probabilities: NDArray[np.float32], right: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """The highest probabilities in bins of equal width, each with how often it is right; empty bins are left out."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        Bin(
            number / bins,
            (number + 1) / bins,
            int(inside.sum()),
            float(confidence[inside].mean()),
            float(right[inside].mean()),
        )
        for number in np.unique(index).tolist()
        for inside in [index == number]
    ]


def calibration_error(bins: list[Bin]) -> float:
    """The expected calibration error: |share right - mean probability|, averaged over photos (Guo et al. 2017)."""
    photos = sum(one.photos for one in bins)
    return sum(one.photos * abs(one.accuracy - one.confidence) for one in bins) / photos if photos else 0.0


def calibration_floor(probabilities: NDArray[np.float32], draws: int = 200, seed: int = 0) -> float:
    """The calibration error that a perfectly calibrated model would show on so many photos, by chance alone.

    The mean over `draws` in which every photo is right with the probability that the model gives it.
    """
    confidence = probabilities.max(axis=1)
    rng = np.random.default_rng(seed)
    errors = [
        calibration_error(reliability(probabilities, rng.random(len(confidence)) < confidence)) for _ in range(draws)
    ]
    return float(np.mean(errors))


def auroc(inside: NDArray[np.floating[Any]], outside: NDArray[np.floating[Any]]) -> float:
    """The area under the ROC curve: the probability that a score of `inside` is above one of `outside`, both (n,).

    Of equals, half counts (Hanley and McNeil 1982).
    """
    ordered = np.sort(outside)
    below, upto = np.searchsorted(ordered, inside, "left"), np.searchsorted(ordered, inside, "right")
    return float((below + upto).mean() / (2 * len(outside)))


def false_alarms(inside: NDArray[np.floating[Any]], outside: NDArray[np.floating[Any]], kept: float = 0.95) -> float:
    """The share of `outside` that scores as high as the share `kept` of `inside` does; scores of shape (n,)."""
    threshold = np.sort(inside)[int((1 - kept) * len(inside))]
    return float((outside >= threshold).mean())


def mcnemar(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """The probability of two equally good models differing by chance this much or more on the same photos.

    McNemar's exact test: of the photos that only one of the two gets right, each side would have half.
    """
    from scipy.stats import binomtest

    only, others = int((right & ~other).sum()), int((other & ~right).sum())
    return float(binomtest(only, only + others).pvalue) if only + others else 1.0
