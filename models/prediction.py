"""From a network's probabilities to an answer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Prediction(NamedTuple):
    """A label and its probability, 0 to 1."""

    label: str
    probability: float


def rank(probabilities: NDArray[np.float32], labels: Sequence[str], top_k: int = 5) -> list[Prediction]:
    """The `top_k` most probable labels, most probable first, for one photo's probabilities of shape (classes,)."""
    best: list[int] = (-probabilities).argsort(kind="stable")[:top_k].tolist()
    values = probabilities.tolist()
    return [Prediction(labels[index], values[index]) for index in best]
