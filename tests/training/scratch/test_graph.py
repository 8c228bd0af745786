from pathlib import Path

import keras
import numpy as np
import pytest

from foodscene.models.graph.reader import read
from foodscene.models.graph.writer import write
from foodscene.training.networks import temperature
from foodscene.training.scratch.activations import Arctan, Softmax, Tanh
from foodscene.training.scratch.dense import Dense, Flatten
from foodscene.training.scratch.graph import graph
from foodscene.training.scratch.layer import Layer
from foodscene.training.scratch.network import Network
from tests.training.scratch.test_network import X, small


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("last", [Softmax(), Tanh()])
def test_keras_loads_what_is_written_and_answers_alike(tmp_path: Path, last: Layer) -> None:
    network = small(np.float32)
    network.layers[-1] = last
    for _ in range(3):  # so that batch norm has averages
        network.forward(X, training=True)
    logits = network.predict(X)
    logits = np.log(logits) if isinstance(last, Softmax) else logits
    write(graph(network, 1.7), tmp_path / "model.h5")
    model = keras.models.load_model(tmp_path / "model.h5", compile=False)
    np.testing.assert_allclose(
        model.predict(X.astype("float32"), verbose=0), softmax(logits / 1.7), rtol=1e-4, atol=1e-6
    )
    assert temperature.temperature_of(model) == pytest.approx(1.7)
    assert [layer.name for layer in model.layers][-2:] == ["temperature", "probabilities"]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = graph(small(np.float32))
    write(made, tmp_path / "model.h5")
    found = read(tmp_path / "model.h5")
    assert [layer.kind for layer in found.layers] == [layer.kind for layer in made.layers]
    for one, other in zip(found.layers, made.layers, strict=True):
        assert dict(one.options) == dict(other.options)
        for name, values in other.weights.items():
            np.testing.assert_array_equal(one.weights[name], values)


def test_a_layer_that_keras_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="no layer like Arctan"):
        graph(Network([Flatten(), Dense(2), Arctan()], (2, 2, 1)))
