import keras
import numpy as np
import pytest

from foodscene.training.networks.compact import compact

pytestmark = pytest.mark.slow


def trained(model: keras.Model) -> keras.Model:
    """The model with weights and batch norm statistics as a training would leave them: none at its first value."""
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.uniform(0.05, 0.3, value.shape) for value in model.get_weights()])
    return model


def network(*, scale: bool = True, center: bool = True) -> keras.Model:
    """A convolution and a depthwise one with batch norm behind them, one seen by two layers, one with an activation."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    pixels = keras.Input((12, 10, 3))
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.Conv2D(8, 3, use_bias=False, padding="same", name="plain")(x)
    x = layers.BatchNormalization(scale=scale, center=center, epsilon=1e-2, name="plain_norm")(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_norm")(x)
    shared = layers.Conv2D(16, 1, name="shared")(x)
    x = layers.add([layers.BatchNormalization(name="shared_norm")(shared), shared])
    x = layers.Conv2D(4, 1, activation="relu", name="active")(x)
    x = layers.BatchNormalization(name="active_norm")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return trained(keras.Model(pixels, layers.Dense(5)(x), name="net"))


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_answers_stay_and_only_batch_norm_right_behind_a_convolution_goes(options: dict[str, bool]) -> None:
    model = network(**options)
    smaller = compact(model)
    names = {layer.name for layer in smaller.layers}
    assert {"plain", "depthwise", "shared_norm", "active_norm"} <= names
    assert not {"plain_norm", "depthwise_norm"} & names
    photos = np.random.default_rng(1).uniform(0, 255, (6, 12, 10, 3)).astype(np.float32)
    logits = np.asarray(model(photos))
    assert np.abs(np.asarray(smaller(photos)) - logits).max() < 1e-3 * np.abs(logits).max()
    assert smaller.name == model.name


def test_kernels_fit_half_precision() -> None:
    for layer in compact(network()).layers:
        for value in layer.get_weights():
            if value.ndim > 1:
                assert (value == value.astype(np.float16)).all()


def test_a_kernel_beyond_half_precisions_range_stays_as_it_is() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.layers[0].set_weights([np.array([[1e6, 0.1], [0.2, 0.3]], np.float32), np.zeros(2, np.float32)])
    model = keras.Model(model.inputs, model.outputs)
    assert (compact(model).get_weights()[0] == model.get_weights()[0]).all()
