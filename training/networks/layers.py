"""What all networks share: their first layers, their last layers, and how kernels are drawn."""

from typing import Any

import keras

from foodscene.training.recipes.sections import Convolutional, Dense, Input, Transfer

# Of pixel values scaled to 0..1 over ImageNet's training photos, as torchvision documents them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def inputs(settings: Input, standardization: list[keras.layers.Layer]) -> tuple[Any, Any]:
    """The input tensor, pixels 0-255 of shape (n, height, width, channels), and the same after standardization."""
    pixels = keras.Input(settings.spec.shape, name="pixels")
    x = pixels
    for layer in standardization:
        x = layer(x)
    if settings.scale == "unit":
        x = keras.layers.Rescaling(1 / 255, name="unit")(x)
    if settings.scale == "imagenet":
        x = imagenet()(x)
    return pixels, x


def imagenet() -> keras.layers.Layer:
    """Subtract ImageNet's mean from pixels 0-255 and divide by its standard deviation, channel by channel."""
    # A Rescaling, not a Normalization: that one's statistics become inputs of the graph when it is exported to ONNX.
    scale = [1 / (255 * deviation) for deviation in IMAGENET_STD]
    offset = [-mean / deviation for mean, deviation in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    return keras.layers.Rescaling(scale, offset, name="imagenet")


def outputs(x: Any, settings: Convolutional | Dense | Transfer, classes: int) -> Any:
    """The dense layers of a recipe and its output layer, of shape (n, classes)."""
    activations = settings.dense_activation
    for index, units in enumerate(settings.dense, start=1):
        activation = activations if isinstance(activations, str) else activations[index - 1]
        x = keras.layers.Dense(units, activation, kernel_initializer=initializer(settings), name=f"dense_{index}")(x)
        if settings.dense_dropout:
            x = keras.layers.Dropout(settings.dense_dropout, name=f"dense_dropout_{index}")(x)
    # float32 whatever the precision of the rest: a softmax over bfloat16 loses the small probabilities.
    last = {"activation": settings.output_activation, "dtype": "float32"}
    if settings.output_batch_norm:
        x = keras.layers.Dense(classes, kernel_initializer=initializer(settings), name="logits")(x)
        x = keras.layers.BatchNormalization(name="logits_norm")(x)
        return keras.layers.Activation(**last, name="output")(x)
    return keras.layers.Dense(classes, kernel_initializer=initializer(settings), name="output", **last)(x)


def initializer(settings: Convolutional | Dense | Transfer) -> str | keras.initializers.Initializer:
    """How the kernels of a recipe are drawn; biases start at zero."""
    if settings.initializer == "uniform":
        return keras.initializers.RandomUniform(-0.5, 0.5)
    return settings.initializer
