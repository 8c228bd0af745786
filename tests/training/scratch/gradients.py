"""The derivatives of layers, measured: by central differences, and by TensorFlow through Keras' layers."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from foodscene.training.scratch.graph import described
from foodscene.training.scratch.layer import Layer
from foodscene.training.scratch.network import Network

Array = NDArray[np.float64]


def central(function: Callable[[], float], x: Array, step: float = 1e-6) -> Array:
    """The derivative of `function` for each value of `x`, which is changed in place and put back."""
    found = np.empty_like(x)
    for place in np.ndindex(x.shape):
        kept = x[place]
        x[place] = kept + step
        above = function()
        x[place] = kept - step
        found[place] = (above - function()) / (2 * step)
        x[place] = kept
    return found


def built(layer: Layer, shape: tuple[int, ...], seed: int = 0) -> Layer:
    """A layer for inputs of `shape`, with parameters that are all drawn: biases of zero would hide mistakes."""
    rng = np.random.default_rng(seed)
    layer.build(shape, rng, np.float64)
    for parameter in layer.parameters:
        parameter[:] = rng.normal(0, 1, parameter.shape)
    for statistic in layer.statistics:
        statistic[:] = rng.uniform(0.5, 1.5, statistic.shape)
    return layer


def check(layer: Layer, x: Array, seed: int = 1) -> None:
    """`backward` against central differences, for the input and every parameter."""
    weights: Any = None

    def loss() -> float:
        layer.rng = np.random.default_rng(seed)  # what is dropped stays dropped
        statistics = [one.copy() for one in layer.statistics]
        y = layer.forward(x, training=True)
        for one, before in zip(layer.statistics, statistics, strict=True):
            one[:] = before
        nonlocal weights
        if weights is None:
            weights = np.random.default_rng(seed).normal(0, 1, y.shape)
        return float((y * weights).sum())

    loss()
    given = x.copy()
    into = layer.backward(weights).copy()
    gradients = [gradient.copy() for gradient in layer.gradients]
    np.testing.assert_array_equal(x, given)
    np.testing.assert_allclose(into, central(loss, x), rtol=1e-6, atol=1e-6)
    for gradient, parameter in zip(gradients, layer.parameters, strict=True):
        np.testing.assert_allclose(gradient, central(loss, parameter), rtol=1e-6, atol=1e-6)


def same_as_keras(layer: Layer, x: Array, *, training: bool = False, seed: int = 2) -> None:
    """Output, statistics and derivatives against the layer that `described` names, to 1e-6 and better."""
    network = Network([layer], x.shape[1:], dtype=np.float64)
    rng = np.random.default_rng(seed)
    network.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in network.weights])
    ((kind, arguments, weights),) = described(network)
    theirs = getattr(keras.layers, kind)(**arguments, dtype="float64")
    theirs.build(x.shape)
    theirs.set_weights(weights)
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        answer = theirs(tensor, training=training)
        weighted = rng.normal(0, 1, answer.shape)
        loss = tf.reduce_sum(answer * weighted)
    derived = tape.gradient(loss, [tensor, *(one.value for one in theirs.trainable_variables)])

    layer.lowest = False
    y = network.forward(x, training=training)
    np.testing.assert_allclose(y, answer, rtol=1e-8, atol=1e-8)
    for mine, other in zip(layer.statistics, theirs.non_trainable_variables, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-8)
    np.testing.assert_allclose(layer.backward(weighted), derived[0], rtol=1e-8, atol=1e-8)
    for gradient, other in zip(layer.gradients, derived[1:], strict=True):
        np.testing.assert_allclose(gradient, other, rtol=1e-8, atol=1e-8)
