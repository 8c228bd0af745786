"""What a network's output means, and the probabilities that it stands for."""

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from foodscene.models.graph.graph import ModelRefused, Shape, in_words

OutputKind = Literal["softmax", "logits", "sigmoid", "multi_label"]
"""`softmax`: probabilities that add up to 1. `logits`: what a softmax makes these of. `sigmoid`: one unit, the
probability of the second of two labels. `multi_label`: a probability for each label by itself."""

_LEAST = 1e-7
"""Keras clips probabilities here where it takes their logarithm."""


class Network(Protocol):
    """What a network answers with, and the activation that its answer went through last: "softmax", "linear" …."""

    @property
    def output_shape(self) -> Shape: ...

    @property
    def activation(self) -> str: ...


def kind_of(network: Network) -> OutputKind:
    """What a network answers with, by its last layer.

    Raises `ModelRefused` for one that answers with no probabilities: features, maps, or a number of a regression.
    """
    if len(network.output_shape) != 2 or network.output_shape[1] is None:
        raise ModelRefused(
            f"the model answers with values of shape {in_words(network.output_shape)}; a classifier gives one for "
            "each label of each photo. It may be a backbone without its head, or made for another task."
        )
    units, last = network.output_shape[1], network.activation
    if last == "sigmoid":
        return "sigmoid" if units == 1 else "multi_label"
    if units == 1:
        raise ModelRefused(
            "the model answers with a single number that is no probability, as a regression does; "
            "a classifier ends in a softmax or a sigmoid."
        )
    if last == "softmax":
        return "softmax"
    if last == "linear":
        return "logits"
    raise ModelRefused(
        f"the model ends in the activation {last}, which gives no probabilities; a classifier ends in a softmax, in a "
        "sigmoid, or in logits. If its answers are one of these, say which in card.json: "
        '{"output": "softmax"}, "logits", "sigmoid" or "multi_label".'
    )


def check(kind: OutputKind, network: Network) -> None:
    """Make sure that a network can answer so, where its card says it. Raises `ModelRefused`."""
    if (
        len(network.output_shape) != 2
        or network.output_shape[1] is None
        or (network.output_shape[1] == 1) != (kind == "sigmoid")
    ):
        raise ModelRefused(
            f"card.json calls the output {kind}, but the model's has the shape {in_words(network.output_shape)}."
        )


def labels_of(kind: OutputKind, network: Network) -> int:
    """How many labels a network's output stands for."""
    return 2 if kind == "sigmoid" else network.output_shape[1] or 0


def probabilities(kind: OutputKind, output: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """Probabilities of shape (n, labels) of a network's output of shape (n, units), both float32.

    What is less sure than the network says has a `temperature` above 1: its logits are divided by that
    (Guo et al. 2017, "On calibration of modern neural networks").
    """
    if kind == "logits":
        return _softmax(output / temperature)
    if temperature != 1:
        held = np.clip(output, _LEAST, 1 - _LEAST).astype(np.float64)
        if kind == "softmax":
            return _softmax(np.log(held) / temperature)
        output = (1 / (1 + ((1 - held) / held) ** (1 / temperature))).astype(np.float32)
    return np.concatenate([1 - output, output], axis=1) if kind == "sigmoid" else output


def _softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Probabilities, float32, of logits of shape (n, labels)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
