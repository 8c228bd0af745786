import keras
import numpy as np
import pytest

from foodscene.training.scratch.convolution import Convolution
from foodscene.training.scratch.dense import Dense
from foodscene.training.scratch.initializers import INITIALIZERS


@pytest.mark.parametrize("name", ["glorot_uniform", "he_uniform", "he_normal"])
@pytest.mark.parametrize("shape", [(300, 200), (5, 5, 60, 40)])
def test_values_are_spread_as_those_of_keras(name: str, shape: tuple[int, ...]) -> None:
    ours = INITIALIZERS[name](np.random.default_rng(0), shape)
    theirs = np.asarray(getattr(keras.initializers, "".join(part.title() for part in name.split("_")))(seed=0)(shape))
    assert ours.shape == shape
    assert ours.mean() == pytest.approx(0, abs=0.02 * ours.std())
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.02)


def test_uniform_is_as_wide_whatever_the_size() -> None:
    drawn = INITIALIZERS["uniform"](np.random.default_rng(0), (100, 100))
    assert drawn.min() == pytest.approx(-0.5, abs=0.01)
    assert drawn.max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "layer", [Dense(300, bias_initializer="uniform"), Convolution(300, 1, bias_initializer="uniform")]
)
def test_biases_are_zero_unless_they_are_to_be_drawn(layer: Dense | Convolution) -> None:
    shape = (4,) if isinstance(layer, Dense) else (2, 2, 4)
    layer.build(shape, np.random.default_rng(0), np.float32)
    assert layer.parameters[1].std() == pytest.approx(1 / np.sqrt(12), rel=0.1)
    plain = type(layer)(3, *([1] if isinstance(layer, Convolution) else []))
    plain.build(shape, np.random.default_rng(0), np.float32)
    assert not plain.parameters[1].any()
