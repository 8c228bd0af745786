"""The temperature that calibrates a network: a layer before its softmax.

Guo et al., "On Calibration of Modern Neural Networks", 2017. `evaluation.calibration` fits it.
"""

from typing import TYPE_CHECKING

from foodscene.models.errors import FoodsceneError

if TYPE_CHECKING:
    import keras

LAYER = "temperature"
"""The name of the layer that holds the temperature in a saved model: a Rescaling by its inverse, before the softmax."""


class TemperatureError(FoodsceneError, ValueError):
    """A model that has no place for a temperature. Its text says why."""


def calibrated(model: "keras.Model", temperature: float) -> "keras.Model":
    """The same network, its logits divided by `temperature`: built-in layers only. One it already has is multiplied.

    Raises `TemperatureError` where the model does not end in a softmax.
    """
    import keras

    from foodscene.training.networks.flatten import flat

    if isinstance(model.layers[-1], keras.Model):
        model = flat(model)
    last = model.layers[-1]
    softmax = getattr(last, "activation", None) is keras.activations.softmax
    if isinstance(last, keras.layers.Dense) and softmax:
        linear = keras.layers.Dense.from_config({**last.get_config(), "activation": "linear", "name": "logits"})
        logits = linear(last.input)
        linear.set_weights(last.get_weights())
    elif isinstance(last, keras.layers.Softmax) or (isinstance(last, keras.layers.Activation) and softmax):
        logits = last.input
        if model.layers[-2].name == LAYER:
            temperature *= temperature_of(model)
            logits = model.layers[-2].input
    else:
        raise TemperatureError(
            f"The model ends in a {type(last).__name__} without a softmax: there are no logits to temper."
        )
    x = keras.layers.Rescaling(1 / temperature, dtype="float32", name=LAYER)(logits)
    x = keras.layers.Softmax(dtype="float32", name="probabilities")(x)
    return keras.Model(model.inputs[0], x, name=model.name)


def temperature_of(model: "keras.Model") -> float:
    """The temperature that a model carries; 1 where it was not calibrated."""
    return next((1 / float(layer.scale) for layer in model.layers if layer.name == LAYER), 1.0)
