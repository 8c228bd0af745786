"""From a recipe's `[model]` section to a Keras model: raw pixels 0-255 in, probabilities out, built-in layers only."""

from typing import Any

import keras

from foodscene.training.networks import convolutional, transfer
from foodscene.training.networks.layers import inputs, outputs
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.recipes.sections import Convolutional, Dense


def build(
    recipe: Recipe, classes: int, standardization: list[keras.layers.Layer] | None = None, *, weights: str | None = None
) -> keras.Model:
    """The network of a recipe, with fresh weights drawn from its seed.

    Input: pixels of shape (n, height, width, channels), float32, values 0-255. Output: (n, classes), probabilities
    unless the recipe wants another activation. `standardization` are layers that follow the input, with their
    statistics. `weights` says where a backbone's weights come from, instead of the recipe.
    Raises `transfer.WeightsError` where they cannot be had.
    """
    keras.utils.set_random_seed(recipe.seed)
    pixels, x = inputs(recipe.input, standardization or [])
    x = features(recipe, x, weights)
    return keras.Model(pixels, outputs(x, recipe.model, classes), name=recipe.model.kind)


def features(recipe: Recipe, x: Any, weights: str | None) -> Any:
    """What the output layers see of the standardized pixels: a tensor of shape (n, features)."""
    match recipe.model:
        case Dense():
            return keras.layers.Flatten(name="flatten")(x)  # the pixels themselves
        case Convolutional():
            return convolutional.features(x, recipe.model)
        case _:
            return transfer.features(x, recipe.model, recipe.input.spec.shape, weights)


def probabilities(model: keras.Model) -> keras.Model:
    """The model with outputs that are positive and sum to 1, the ranking as it was: what a bundle holds."""
    if getattr(model.layers[-1], "activation", None) is keras.activations.softmax:
        return model
    return keras.Model(model.inputs, keras.layers.Softmax(name="probabilities")(model.outputs[0]), name=model.name)
