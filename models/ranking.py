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
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    found = zip(best.tolist(), probabilities[best].tolist(), strict=True)
    return [Prediction(labels[index], probability) for index, probability in found]
