import numpy as np
import pytest
import tensorflow as tf

from foodscene.training.scratch.activations import Arctan, ReLU, Sigmoid, Softmax, Step, Tanh
from foodscene.training.scratch.layer import Layer
from tests.training.scratch.gradients import built, check, same_as_keras

X = np.random.default_rng(0).normal(0, 2, (3, 4, 2))


@pytest.mark.parametrize("kind", [Sigmoid, Tanh, Arctan, ReLU, Step, Softmax])
def test_derivatives(kind: type[Layer]) -> None:
    check(built(kind(), X.shape[1:]), X.copy())


@pytest.mark.parametrize("kind", [Sigmoid, Tanh, ReLU, Softmax])
def test_it_is_that_of_keras(kind: type[Layer]) -> None:
    same_as_keras(kind(), X)


def test_arctan_is_that_of_tensorflow() -> None:
    np.testing.assert_allclose(Arctan().forward(X), tf.atan(X), rtol=1e-12)


@pytest.mark.parametrize("kind", [Sigmoid, Tanh, Arctan, ReLU, Step, Softmax])
def test_large_values_stay_numbers(kind: type[Layer]) -> None:
    x = np.array([[-1e4, 0, 1e4]], np.float32)
    layer = kind()
    with np.errstate(all="raise", under="ignore"):
        y = layer.forward(x)
        into = layer.backward(np.ones_like(x))
    assert y.dtype == into.dtype == np.float32
    assert np.isfinite(y).all()
    assert np.isfinite(into).all()


def test_a_step_is_zero_below_zero_and_one_from_there_on() -> None:
    assert Step().forward(np.array([[-2.0, -0.1, 0.0, 0.1, 3.0]])).tolist() == [[0, 0, 1, 1, 1]]
