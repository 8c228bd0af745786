"""A trained network made to fit half the space: batch norm folded away, kernels rounded to half precision.

Folding changes nothing in the answers; rounding to 11 significant bits moves a probability in its third digit at most.
`models.half_precision` then keeps these kernels in two bytes a value. For networks that are done: without batch norm,
training on from here goes another way.
"""

from collections import Counter

import keras
import numpy as np
from numpy.typing import NDArray

_Kernel = NDArray[np.float32]


def compact(model: keras.Model) -> keras.Model:
    """The same network with every batch norm that directly follows a convolution folded into it, and rounded kernels.

    `model` is a functional model without models among its layers.
    """
    folded = _foldable(model)
    norms = set(folded.values())

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        return type(layer).from_config({**config, "use_bias": True} if layer.name in folded else config)

    def call(layer: keras.layers.Layer, tensor: keras.KerasTensor, *rest: object, **options: object) -> object:
        return tensor if layer.name in norms else layer(tensor, *rest, **options)

    smaller = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in smaller.layers:
        if not layer.weights:
            continue
        weights = model.get_layer(layer.name).get_weights()
        if layer.name in folded:
            weights = _fold(model.get_layer(layer.name), model.get_layer(folded[layer.name]))
        layer.set_weights([_rounded(value) if value.ndim > 1 else value for value in weights])
    return smaller


def _foldable(model: keras.Model) -> dict[str, str]:
    """The convolutions whose output only a batch norm sees, by name, and the name of that batch norm."""
    seen = Counter(id(tensor) for layer in model.layers for tensor in keras.tree.flatten(layer.input))
    makers = {id(layer.output): layer for layer in model.layers}
    found = {}
    for norm in model.layers:
        if isinstance(norm, keras.layers.BatchNormalization) and norm.axis in (-1, 3):
            maker = makers.get(id(norm.input))
            if (
                isinstance(maker, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
                and maker.activation is keras.activations.linear
                and seen[id(maker.output)] == 1
            ):
                found[maker.name] = norm.name
    return found


def _fold(convolution: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> list[_Kernel]:
    """The kernel and bias of the convolution and the batch norm after it in one."""
    kernel, *bias = convolution.get_weights()
    mean, variance = _array(norm.moving_mean), _array(norm.moving_variance)
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * _array(norm.gamma)
    shift = (bias[0] if bias else 0) - mean
    shift = shift * scale + (_array(norm.beta) if norm.center else 0)
    # A depthwise kernel ends in (channels, multiplier), which together are the output's channels.
    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    return [kernel * (scale.reshape(kernel.shape[-2:]) if depthwise else scale), shift]


def _array(variable: keras.Variable) -> _Kernel:
    return np.asarray(keras.ops.convert_to_numpy(variable.value), dtype=np.float32)


def _rounded(kernel: _Kernel) -> _Kernel:
    """To half precision; as it was where a value is beyond its range."""
    with np.errstate(over="ignore"):
        half = kernel.astype(np.float16).astype(np.float32)
    return half if np.isfinite(half).all() else kernel
