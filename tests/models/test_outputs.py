"""What a network's output means."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from foodscene.models.graph.graph import ModelRefused
from foodscene.models.graph.reader import outline
from foodscene.models.outputs import check, kind_of, labels_of, probabilities
from tests.models.graph.agreement import saved

layers = keras.layers


def ending(tmp_path: Path, *last: Any) -> Any:
    return outline(saved(keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), *last]), tmp_path / "model.h5"))


def test_kinds(tmp_path: Path) -> None:
    for kind, labels, last in (
        ("softmax", 3, [layers.Dense(3, activation="softmax")]),
        ("softmax", 3, [layers.Dense(3), layers.Rescaling(0.5), layers.Softmax()]),
        ("softmax", 3, [layers.Dense(3), layers.Activation("softmax"), layers.Dropout(0.1)]),
        ("logits", 3, [layers.Dense(3)]),
        ("logits", 3, [layers.Dense(3), layers.Activation("linear")]),
        ("sigmoid", 2, [layers.Dense(1, activation="sigmoid")]),
        ("multi_label", 3, [layers.Dense(3), layers.Activation("sigmoid")]),
    ):
        graph = ending(tmp_path, *last)
        assert kind_of(graph) == kind
        assert labels_of(kind, graph) == labels  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ([layers.Dense(1)], "regression"),
        ([layers.Dense(3, activation="relu")], "relu"),
        ([layers.Reshape((8, 8, 3))], "backbone"),
    ],
)
def test_what_answers_with_no_probabilities_is_refused(tmp_path: Path, last: list[Any], why: str) -> None:
    with pytest.raises(ModelRefused, match=why):
        kind_of(ending(tmp_path, *last))


def test_a_card_must_not_contradict_the_shape(tmp_path: Path) -> None:
    graph = ending(tmp_path, layers.Dense(3, activation="sigmoid"))
    check("softmax", graph)
    with pytest.raises(ModelRefused, match="sigmoid"):
        check("sigmoid", graph)


def test_temperature_divides_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (5, 4)).astype(np.float32)
    warm = probabilities("logits", logits, 2.0)
    np.testing.assert_allclose(probabilities("softmax", probabilities("logits", logits), 2.0), warm, atol=1e-5)
    each = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(probabilities("multi_label", each, 2.0), 1 / (1 + np.exp(-logits / 2)), atol=1e-5)
    two = probabilities("sigmoid", each[:, :1], 2.0)
    np.testing.assert_allclose(two.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(two[:, 1], 1 / (1 + np.exp(-logits[:, 0] / 2)), atol=1e-5)
