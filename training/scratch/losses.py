"""Losses: how wrong answers y are, given targets t, both (n, classes).

`forward` is the mean over the batch, `backward` its derivative dL/dy of shape (n, classes).
"""

import numpy as np

from foodscene.training.scratch.layer import Array


class MeanSquaredError:
    """L = mean of (y - t)² over batch and classes, dL/dy = 2 (y - t) / (n classes) (Goodfellow et al., 5.1.4)."""

    def forward(self, y: Array, t: Array) -> float:
        return float(np.square(y - t).mean())

    def backward(self, y: Array, t: Array) -> Array:
        return (y - t) * y.dtype.type(2 / y.size)


class CrossEntropy:
    """L = -1/n sum of t log y, dL/dy = -t / (n y), for probabilities y (Goodfellow et al., 6.2.2.3).

    `label_smoothing` spreads a share of each target over all classes (Szegedy et al., 2016).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def forward(self, y: Array, t: Array, logs: Array | None = None) -> float:
        """`logs` are the logarithms of `y`, where there are better ones than those of rounded values."""
        return float(-(self._smooth(t) * (np.log(_positive(y)) if logs is None else logs)).sum() / len(y))

    def backward(self, y: Array, t: Array) -> Array:
        return -self._smooth(t) / _positive(y) / y.dtype.type(len(y))

    def before_softmax(self, y: Array, t: Array) -> Array:
        """dL/dx for y = softmax x and targets of sum 1: (y - t) / n.

        Softmax and cross-entropy derived together: no division by a probability that may be zero, so that a network
        which is sure and wrong still learns.
        """
        return (y - self._smooth(t)) / y.dtype.type(len(y))

    def _smooth(self, t: Array) -> Array:
        if not self.label_smoothing:
            return t
        return t * t.dtype.type(1 - self.label_smoothing) + t.dtype.type(self.label_smoothing / t.shape[1])


Loss = MeanSquaredError | CrossEntropy


def _positive(y: Array) -> Array:
    return np.maximum(y, np.finfo(y.dtype).tiny)
