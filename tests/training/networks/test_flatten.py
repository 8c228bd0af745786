"""A network without networks among its layers."""

import keras
import numpy as np

from foodscene.training.networks.flatten import flat


def inner() -> keras.Model:
    pixels = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="first")(pixels)
    x = keras.layers.BatchNormalization()(x)
    shortcut = keras.layers.Conv2D(4, 1, name="shortcut")(pixels)
    model = keras.Model(pixels, keras.layers.Add()([x, shortcut]), name="body")
    model.set_weights([np.random.default_rng(5).uniform(0.1, 1, weight.shape) for weight in model.get_weights()])
    return model


def test_the_same_answers_from_layers_alone() -> None:
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax", name="first")]
    middle = keras.Sequential([keras.layers.Rescaling(1 / 255), inner()], name="middle")
    nested = keras.Sequential([keras.Input((8, 8, 3)), middle, *head])
    photos = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
    found = flat(nested)
    assert not any(isinstance(layer, keras.Model) for layer in found.layers)
    names = [layer.name for layer in found.layers]
    assert {"middle.body.first", "middle.body.shortcut", "first"} <= set(names), "two are called first, and stay apart"
    np.testing.assert_allclose(np.asarray(found(photos)), np.asarray(nested(photos)), atol=1e-6)
    seen = keras.Model(found.inputs[0], found.get_layer("middle.body.first").output)
    assert seen(photos).shape == (4, 8, 8, 4), "its layers can be looked at"


def test_layers_that_are_called_twice_share_their_weights_still() -> None:
    pixels = keras.Input((8, 8, 3))
    body = inner()
    twice = keras.layers.Add()([body(pixels), body(keras.layers.Rescaling(2.0)(pixels))])
    nested = keras.Model(pixels, keras.layers.Dense(2, "softmax")(keras.layers.Flatten()(twice)))
    found = flat(nested)
    assert found.count_params() == nested.count_params()
    photos = np.random.default_rng(0).uniform(0, 1, (4, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(found(photos)), np.asarray(nested(photos)), atol=1e-6)


def test_a_network_of_layers_alone_is_itself() -> None:
    model = inner()
    assert flat(model) is model
