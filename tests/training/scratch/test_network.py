import keras
import numpy as np
import pytest
import tensorflow as tf

from foodscene.training.scratch.activations import ReLU, Softmax, Tanh
from foodscene.training.scratch.convolution import Convolution
from foodscene.training.scratch.dense import Dense, Dropout, Flatten, Rescaling
from foodscene.training.scratch.graph import described
from foodscene.training.scratch.losses import CrossEntropy, Loss, MeanSquaredError
from foodscene.training.scratch.network import Network
from foodscene.training.scratch.normalization import BatchNorm
from foodscene.training.scratch.optimizers import Adam, Optimizer
from foodscene.training.scratch.pooling import AveragePooling, MaxPooling
from tests.training.scratch.gradients import central

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (6, 8, 7, 2)).astype(np.uint8)
T = np.eye(3)[RNG.integers(0, 3, 6)]


def small(dtype: type = np.float64, dropout: float = 0.0) -> Network:
    return Network(
        [
            Rescaling(1 / 255, [0.1, -0.2]),
            Convolution(4, 3),
            BatchNorm(),
            ReLU(),
            MaxPooling(),
            Convolution(5, 3, stride=2, bias=False),
            Tanh(),
            AveragePooling(2, 1, "same"),
            Dropout(dropout),
            Flatten(),
            Dense(3),
            Softmax(),
        ],
        X.shape[1:],
        seed=5,
        dtype=dtype,
    )


def keras_model(network: Network) -> keras.Model:
    """The same network in Keras, from what `described` tells."""
    layers = [
        getattr(keras.layers, layer.kind)(**layer.options, dtype="float64", name=f"layer{index}")
        for index, layer in enumerate(described(network))
    ]
    model = keras.Sequential([keras.Input(network.shape, dtype="float64"), *layers])
    for theirs, ours in zip(model.layers, described(network), strict=True):
        theirs.set_weights(ours.weights)
    return model


@pytest.mark.parametrize("loss", [CrossEntropy(), MeanSquaredError()])
def test_the_gradient_of_a_whole_network(loss: Loss) -> None:
    network = small(dropout=0.3)

    def value() -> float:
        network.draw_from(1)
        return loss.forward(network.forward(X, training=True), T)

    network.draw_from(1)
    network.backward(loss, network.forward(X, training=True), T)
    gradient = network.gradients.copy()
    np.testing.assert_allclose(gradient, central(value, network.parameters), rtol=1e-6, atol=1e-6)


def test_ten_steps_are_those_of_keras() -> None:
    network, optimizer = small(), Optimizer()
    model = keras_model(network)
    np.testing.assert_allclose(network.predict(X), model(X.astype(float)), atol=1e-12)
    theirs = keras.optimizers.SGD(0.1)
    for _ in range(10):
        value, _ = network.step(X, T, CrossEntropy(), optimizer, float(theirs.learning_rate))
        with tf.GradientTape() as tape:
            told = model(X.astype(float), training=True)
            loss = tf.reduce_mean(-tf.reduce_sum(T * tf.math.log(told), axis=1))
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        theirs.apply(gradients, variables)
        assert value == pytest.approx(float(loss), abs=1e-6)
    for ours, other in zip(network.weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-6)
    np.testing.assert_allclose(network.predict(X), model(X.astype(float)), atol=1e-6)


def test_it_learns_what_it_is_shown() -> None:
    network, optimizer, loss = small(np.float32, dropout=0.1), Adam(), CrossEntropy()
    t = T.astype(np.float32)
    first, _ = network.step(X, t, loss, optimizer, 0.01)
    for _ in range(60):
        last, _ = network.step(X, t, loss, optimizer, 0.01)
    assert last < 0.1 < first
    assert network.parameters.dtype == network.predict(X).dtype == np.float32


def test_the_layers_arrays_are_views_of_the_networks() -> None:
    network = small()
    assert network.parameters.size == sum(one.size for layer in network.layers for one in layer.parameters)
    network.parameters[:] = 7
    assert all((one == 7).all() for layer in network.layers for one in layer.parameters)


def test_kernels_alone_decay() -> None:
    network = small()
    whose = [np.full(one.size, float(one.ndim > 1)) for layer in network.layers for one in layer.parameters]
    np.testing.assert_array_equal(network.kernels, np.concatenate(whose))


def test_nothing_is_given_back_below_the_first_parameters() -> None:
    layer = Dense(2)
    network = Network([Flatten(), layer, Softmax()], (2, 2, 1))
    x, t = np.ones((1, 2, 2, 1), np.float32), np.array([[0, 1]], np.float32)
    network.backward(CrossEntropy(), network.forward(x, training=True), t)
    assert layer.lowest
    assert (layer.gradients[0][:, 1] < 0).all()


def test_the_weights_of_another_network_are_refused() -> None:
    network, other = small(), Network([Flatten(), Dense(2)], (2, 2, 1))
    with pytest.raises(ValueError, match="another network"):
        network.set_weights(other.weights)


def test_what_is_drawn_follows_from_the_seed() -> None:
    one, other = small(dropout=0.5), small(dropout=0.5)
    np.testing.assert_array_equal(one.parameters, other.parameters)
    for network in (one, other):
        network.draw_from(3, 1)
    first = one.forward(X, training=True).copy()
    np.testing.assert_array_equal(first, other.forward(X, training=True))
    assert (one.forward(X, training=True) != first).any()
