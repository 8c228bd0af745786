import keras
import numpy as np
import pytest
import tensorflow as tf

from foodscene.training.scratch.activations import Softmax
from foodscene.training.scratch.losses import CrossEntropy, Loss, MeanSquaredError
from tests.training.scratch.gradients import central

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (4, 5))
TARGETS = np.eye(5)[[0, 2, 2, 4]]
LOSSES = [
    (MeanSquaredError(), keras.losses.MeanSquaredError(dtype="float64")),
    (CrossEntropy(), keras.losses.CategoricalCrossentropy(dtype="float64")),
    (CrossEntropy(0.1), keras.losses.CategoricalCrossentropy(label_smoothing=0.1, dtype="float64")),
]


@pytest.mark.parametrize(("loss", "theirs"), LOSSES)
def test_values_and_derivatives(loss: Loss, theirs: keras.losses.Loss) -> None:
    y = Softmax().forward(LOGITS).copy()
    derived = loss.backward(y, TARGETS)
    np.testing.assert_allclose(derived, central(lambda: loss.forward(y, TARGETS), y), rtol=1e-6, atol=1e-6)
    tensor = tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = theirs(TARGETS, tensor)
    assert loss.forward(y, TARGETS) == pytest.approx(float(value), rel=1e-9)
    if isinstance(loss, MeanSquaredError):  # Keras' cross-entropy divides by the sum of y, which is 1 here
        np.testing.assert_allclose(derived, tape.gradient(value, tensor), rtol=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_and_cross_entropy_in_one(smoothing: float) -> None:
    loss, softmax, x = CrossEntropy(smoothing), Softmax(), LOGITS.copy()
    y = softmax.forward(x).copy()
    in_one = loss.before_softmax(y, TARGETS)
    np.testing.assert_allclose(in_one, softmax.backward(loss.backward(y, TARGETS)), rtol=1e-9, atol=1e-12)
    measured = central(lambda: loss.forward(softmax.forward(x), TARGETS), x)
    np.testing.assert_allclose(in_one, measured, rtol=1e-6, atol=1e-6)
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, dtype="float64")
        value = theirs(TARGETS, tensor)
    np.testing.assert_allclose(in_one, tape.gradient(value, tensor), rtol=1e-9, atol=1e-12)


def test_a_network_that_is_sure_and_wrong_still_learns() -> None:
    y = np.array([[0, 1]], np.float32)
    t = np.array([[1, 0]], np.float32)
    assert np.isfinite(CrossEntropy().forward(y, t))
    assert CrossEntropy().before_softmax(y, t).tolist() == [[-1, 1]]
