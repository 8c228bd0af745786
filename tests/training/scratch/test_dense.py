import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foodscene.training.scratch.dense import Dense, Dropout, Flatten, Rescaling
from tests.training.scratch.gradients import built, check, same_as_keras

SMALL = st.integers(1, 5)


@settings(max_examples=20, deadline=None)
@given(SMALL, SMALL, SMALL)
def test_dense_derivatives(n: int, inputs: int, units: int) -> None:
    x = np.random.default_rng(0).normal(0, 1, (n, inputs))
    check(built(Dense(units), (inputs,)), x)
    same_as_keras(Dense(units), x)


def test_a_dense_layer_takes_rows_alone() -> None:
    with pytest.raises(ValueError, match="Flatten"):
        Dense(3).build((4, 4, 1), np.random.default_rng(0), np.float32)


@settings(max_examples=10, deadline=None)
@given(SMALL, SMALL, SMALL, SMALL)
def test_flatten(n: int, height: int, width: int, channels: int) -> None:
    x = np.random.default_rng(0).normal(0, 1, (n, height, width, channels))
    check(built(Flatten(), x.shape[1:]), x)
    same_as_keras(Flatten(), x)


@pytest.mark.parametrize(("scale", "offset"), [(1 / 255, 0.0), ([2.0, 3.0], [0.5, -1.0])])
def test_rescaling(scale: float | list[float], offset: float | list[float]) -> None:
    x = np.random.default_rng(0).normal(0, 1, (3, 2, 2, 2))
    check(built(Rescaling(scale, offset), x.shape[1:]), x)
    same_as_keras(Rescaling(scale, offset), x)


def test_bytes_become_what_the_network_computes_in() -> None:
    layer = Rescaling(1 / 255)
    layer.build((2,), np.random.default_rng(0), np.float32)
    y = layer.forward(np.array([[0, 255]], np.uint8))  # type: ignore[arg-type]
    assert y.dtype == np.float32
    assert y.tolist() == [[0, 1]]


def test_dropout_derivatives() -> None:
    check(built(Dropout(0.4), (3, 2)), np.random.default_rng(0).normal(0, 1, (5, 3, 2)))


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    layer = Dropout(0.2)
    layer.rng = np.random.default_rng(0)
    x = np.ones((100, 1000), np.float32)
    assert layer.forward(x) is x
    y = layer.forward(x, training=True)
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {np.float32(0), np.float32(1.25)}
    assert (y == 0).mean() == pytest.approx(0.2, abs=0.005)
    assert (layer.forward(x, training=True).copy() != layer.forward(x, training=True)).any()
