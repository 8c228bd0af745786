"""A network that goes on from a bundle's: its layers up to the last dense one, frozen, and a new head.

What enters the last dense layer of a classifier serves for other labels too: A. S. Razavian et al., "CNN Features
off-the-shelf", 2014.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from foodscene.models.bundle import Bundle
from foodscene.models.engine import KerasEngine
from foodscene.models.scaling import Scaling
from foodscene.training.datasets.names import matched
from foodscene.training.networks.flatten import flat
from foodscene.training.networks.layers import outputs
from foodscene.training.networks.transfer import WeightsError
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.recipes.sections import Transfer


def build(recipe: Recipe, classes: Sequence[str], start: Bundle) -> keras.Model:
    """The network of `start` with a head for `classes`; of those that it knows, what it has learned of them is kept.

    Input: pixels of shape (n, height, width, channels), float32, values 0-255. Output: probabilities, (n, classes).
    Raises `WeightsError` where the bundle's network does not end in a dense layer for its labels.
    """
    if not isinstance(recipe.model, Transfer):
        raise WeightsError(f"--from: a {recipe.model.kind} network does not go on from a bundle; take photos/few.")
    keras.utils.set_random_seed(recipe.seed)
    model = flat(KerasEngine(start).model)
    last = next((layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense)), None)
    if last is None or last.units != len(start.labels) or len(last.input.shape) != 2:
        raise WeightsError(f"--from {start.name}: its network does not end in a dense layer for its labels.")
    features = last.input
    while isinstance(before := features._keras_history.operation, keras.layers.Dropout):
        features = before.input
    body = keras.Model(model.inputs, features)
    copy = keras.models.clone_model(body)
    copy.set_weights(body.get_weights())
    if not start.scaling.is_identity:
        raw = keras.Input(recipe.input.spec.shape, name="pixels")
        copy = flat(keras.Model(raw, copy(_scaled(raw, start.scaling))))
    for layer in copy.layers:
        layer.trainable = False
    x = copy.outputs[0]
    if x._keras_history.operation.name != "pool":
        x = keras.layers.Flatten(name="pool")(x)  # changes nothing: the features are a row already
    if recipe.model.head_dropout:
        x = keras.layers.Dropout(recipe.model.head_dropout, name="head_dropout_new")(x)
    network = keras.Model(copy.inputs, outputs(x, recipe.model, len(classes)), name=recipe.model.kind)
    if not recipe.model.dense:
        _keep(network.layers[-1], last, classes, start.labels)
    return network


def _scaled(raw: Any, scaling: Scaling) -> Any:
    """What a scaling makes of pixels, by a layer named `rescale`."""
    factor, offset = scaling.factor, scaling.offset
    if not scaling.reverse:
        return keras.layers.Rescaling(factor.tolist(), offset.tolist(), name="rescale")(raw)
    layer = keras.layers.Conv2D(raw.shape[-1], 1, name="rescale")  # the only layer that orders channels anew
    scaled = layer(raw)
    kernel = np.eye(raw.shape[-1])[::-1] * factor
    layer.set_weights([kernel[None, None], np.broadcast_to(offset, raw.shape[-1:])])
    return scaled


def _keep(head: Any, last: keras.layers.Dense, classes: Sequence[str], labels: Sequence[str]) -> None:
    """Copy to a new head what the old one has for the labels that both have."""
    if not isinstance(head, keras.layers.Dense):
        return
    weights, old = head.get_weights(), last.get_weights()
    for name, label in matched(classes, labels).items():
        for array, known in zip(weights, old, strict=False):
            array[..., classes.index(name)] = known[..., labels.index(label)]
    head.set_weights(weights)
