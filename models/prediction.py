"""From a network's probabilities to an answer."""

from collections.abc import Sequence
from typing import NamedTuple, overload

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


@overload
def is_sure(probability: float, above: float) -> bool: ...
@overload
def is_sure(probability: NDArray[np.float32], above: float) -> NDArray[np.bool_]: ...
def is_sure(probability: float | NDArray[np.float32], above: float) -> bool | NDArray[np.bool_]:
    """Whether answers of these highest probabilities, 0 to 1, are called sure from `above` on; from 1 on none is."""
    return (probability >= above) & (above < 1)


def label_set(probabilities: NDArray[np.float32], labels: Sequence[str], quantile: float) -> list[str]:
    """The labels whose probability is at least 1 - `quantile`, most probable first; the first one where none is.

    The sets of Sadinle, Lei and Wasserman ("Least Ambiguous Set-Valued Classifiers with Bounded Error Levels", 2019).
    `probabilities` has shape (classes,).
    """
    falling = (-probabilities).argsort(kind="stable")
    count = max(1, int((probabilities >= np.float32(1 - quantile)).sum()))
    return [labels[index] for index in falling[:count].tolist()]
