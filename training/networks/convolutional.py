"""Blocks of convolutions, from the report's single 16-filter layer to the residual network of the scenes bundle."""

from typing import Any

import keras

from foodscene.models.errors import FoodsceneError
from foodscene.training.networks.layers import initializer
from foodscene.training.recipes.sections import Convolutional


class NetworkError(FoodsceneError, ValueError):
    """A network that the recipe describes and that cannot be built. Its text says what to change."""


def features(x: Any, settings: Convolutional) -> Any:
    """The blocks, then global average pooling or flattening: a tensor of shape (n, features).

    Raises a ValueError where the photo is used up before the last block.
    """
    for index, entry in enumerate(settings.filters, start=1):
        filters = (entry,) if isinstance(entry, int) else entry
        stride = max(settings.stem_stride, settings.stride) if index == 1 else settings.stride
        x = _block(x, filters, settings, f"block{index}", stride)
    if settings.head == "average":
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    else:
        x = keras.layers.Flatten(name="flatten")(x)
    if settings.head_dropout:
        x = keras.layers.Dropout(settings.head_dropout, name="head_dropout")(x)
    return x


def _block(x: Any, filters: tuple[int, ...], settings: Convolutional, name: str, stride: int) -> Any:
    residual = settings.residual and len(filters) > 1
    entry = x
    for index, count in enumerate(filters, start=1):
        last = index == len(filters)
        x = _convolution(x, count, settings, f"{name}_conv{index}", settings.kernel, stride)
        if last and residual:
            if entry.shape[1:] != x.shape[1:]:
                entry = _convolution(entry, count, settings, f"{name}_shortcut", 1, stride ** len(filters))
            x = keras.layers.Add(name=f"{name}_add")([entry, x])
        x = keras.layers.Activation(settings.activation, name=f"{name}_act{index}")(x)
        # A small picture may be used up before the last block: 28 px is 1 px after four times pooling.
        if last and settings.pooling != "none" and min(x.shape[1:3]) > 1:
            pooling = keras.layers.MaxPooling2D if settings.pooling == "max" else keras.layers.AveragePooling2D
            # A wider window must reach over the border, or less than half of the picture would be left.
            border = "valid" if settings.pooling_window == 2 else "same"
            x = pooling(settings.pooling_window, 2, border, name=f"{name}_pool")(x)
        if settings.dropout:
            x = keras.layers.Dropout(settings.dropout, name=f"{name}_dropout{index}")(x)
    return x


def _convolution(x: Any, filters: int, settings: Convolutional, name: str, kernel: int, stride: int) -> Any:
    if settings.padding == "valid" and min(x.shape[1:3]) < kernel:
        raise NetworkError(
            f"model: {name} finds {x.shape[1]} x {x.shape[2]} values left of the photo, and has a kernel of {kernel}. "
            "Take fewer blocks, a smaller kernel or stride, padding same, or larger photos."
        )
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=settings.padding,
        # Batch norm brings a bias of its own.
        use_bias=not settings.batch_norm,
        kernel_initializer=initializer(settings),
        kernel_regularizer=keras.regularizers.L1L2(settings.l1, settings.l2) if settings.l1 or settings.l2 else None,
        name=name,
    )(x)
    return keras.layers.BatchNormalization(name=f"{name}_norm")(x) if settings.batch_norm else x
