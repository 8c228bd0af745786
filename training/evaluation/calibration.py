"""Calibration: one temperature, so that a probability of 0.8 is right 8 times in 10.

Guo et al., "On Calibration of Modern Neural Networks", 2017: the network's logits are divided by a temperature that is
fitted on photos which training never saw. The ranking of the labels stays as it was.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError
from foodscene.models.familiarity import LEAST
from foodscene.training.evaluation.metrics import log_loss

_COLDEST, _HOTTEST = 0.05, 20.0

_SPREAD = 0.7
"""The standard deviation of a temperature's logarithm before any photo is seen: most lie between a half and two."""


class CalibrationError(FoodsceneError, ValueError):
    """Photos that no temperature can be fitted on. Its text says why."""


def check(photos: int) -> None:
    """Make sure that so many validation photos are enough to calibrate a bundle on. Raises `CalibrationError`."""
    if photos < LEAST:
        raise CalibrationError(
            f"Too few validation photos to calibrate on: {photos}; at least {LEAST} are needed. Of a folder without "
            f"splits a fifth validates, so that {5 * LEAST} photos are enough."
        )


def fit(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """The most probable temperature, given the photos' right labels, and that it is somewhere around 1.

    A few photos, all predicted rightly, would otherwise make a network as sure as it can be; with hundreds it is the
    temperature that gives their labels the highest likelihood. `probabilities` has shape (n, classes), `targets` (n,).
    Above 1 it tempers a model that is too sure. Raises `CalibrationError` where there are no photos.
    """
    if not len(targets):
        raise CalibrationError("There are no validation photos to calibrate on.")

    def improbability(exponent: float) -> float:
        tempered = temper(probabilities, float(np.exp(exponent)))
        return len(targets) * log_loss(tempered, targets) + (exponent / _SPREAD) ** 2 / 2

    return float(np.exp(_least(improbability, float(np.log(_COLDEST)), float(np.log(_HOTTEST)))))


def _least(function: Callable[[float], float], low: float, high: float, within: float = 1e-5) -> float:
    """Where a function that falls, then rises is least, by golden-section search (Kiefer 1953); no SciPy to serve."""
    ratio = (5**0.5 - 1) / 2
    first, second = high - ratio * (high - low), low + ratio * (high - low)
    values = function(first), function(second)
    while high - low > within:
        if values[0] < values[1]:
            high, second, first = second, first, second - ratio * (second - low)
            values = function(first), values[0]
        else:
            low, first, second = first, second, first + ratio * (high - first)
            values = values[1], function(second)
    return (low + high) / 2


def temper(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """What the probabilities become, shape (n, classes), when their logits are divided by `temperature`."""
    # Logits are known up to a constant per photo, which the softmax does not see.
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
