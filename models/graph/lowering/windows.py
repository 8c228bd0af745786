"""Convolutions and poolings in ONNX."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.models.graph.graph import Layer, ModelRefused, Shape
from foodscene.models.graph.layers.convolutions import transposed_size
from foodscene.models.graph.layers.kind import channel, spatial
from foodscene.models.graph.lowering.activations import activated
from foodscene.models.graph.lowering.tensors import Emitter, Lowering, Order, Tensor


def order_for(layer: Layer) -> Order:
    """The order in which a layer's input has its channels behind the batch, as ONNX takes it."""
    return "keras" if layer.options["data_format"] == "channels_first" else "first"


def convolution(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """Conv1D and Conv2D."""
    kernel = np.moveaxis(layer.weight("kernel"), (-1, -2), (0, 1))
    return _convolved(emitter, layer, inputs[0], shape, kernel, layer.options["groups"])


def depthwise_convolution(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """DepthwiseConv1D and DepthwiseConv2D."""
    kernel = _depthwise_kernel(layer.weight("kernel"))
    return _convolved(emitter, layer, inputs[0], shape, kernel, _channels(layer, inputs[0]))


def separable_convolution(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """SeparableConv1D and SeparableConv2D: a depthwise convolution, then one of a pixel."""
    order, tensor = order_for(layer), inputs[0]
    depthwise = _depthwise_kernel(layer.weight("depthwise_kernel"))
    deep = emitter.node(
        "Conv",
        [emitter.without_border(tensor, order), emitter.constant(depthwise)],
        group=_channels(layer, tensor),
        **_windows(layer, tensor, "kernel_size"),
    )
    pointwise = np.moveaxis(layer.weight("pointwise_kernel"), (-1, -2), (0, 1))
    name = emitter.node("Conv", [deep, emitter.constant(pointwise), *_bias(emitter, layer)])
    return activated(emitter, layer.options["activation"], Tensor(shape, {order: name}))


def transposed_convolution(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """Conv2DTranspose: the gradient of a convolution that would make the input of the output."""
    options, order, tensor = layer.options, order_for(layer), inputs[0]
    begins, ends, extra = [], [], []
    for index, axis in enumerate(spatial(options, tensor.rank)):
        size = tensor.shape[axis]
        if size is None:
            raise ModelRefused("its input's size is left open")
        window = (options["kernel_size"][index] - 1) * options["dilation_rate"][index] + 1
        stride = options["strides"][index]
        made = transposed_size(size, index, options)
        whole = (size - 1) * stride + window
        begin = max(whole - made, 0) // 2 if options["padding"] == "same" else 0
        begins.append(begin)
        ends.append(max(whole - begin - made, 0))
        extra.append(max(made + begin - whole, 0))
    name = emitter.node(
        "ConvTranspose",
        [
            emitter.get(tensor, order),
            emitter.constant(layer.weight("kernel").transpose(3, 2, 0, 1)),
            *_bias(emitter, layer),
        ],
        strides=list(options["strides"]),
        dilations=list(options["dilation_rate"]),
        kernel_shape=list(options["kernel_size"]),
        pads=[*begins, *ends],
        output_padding=extra,
    )
    return activated(emitter, options["activation"], Tensor(shape, {order: name}))


def pooling(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """MaxPooling and AveragePooling. What is beyond the border does not count in a mean."""
    order = order_for(layer)
    attributes = _windows(layer, inputs[0], "pool_size")
    kind = "MaxPool" if layer.kind.startswith("Max") else "AveragePool"
    return Tensor(shape, {order: emitter.node(kind, [emitter.get(inputs[0], order)], **attributes)})


def global_pooling(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """GlobalAveragePooling and GlobalMaxPooling."""
    tensor, order, average = inputs[0], order_for(layer), "Average" in layer.kind
    keepdims = layer.options["keepdims"]
    if order == "first" and "first" not in tensor.names:  # no turn just for this
        axes = emitter.integers(spatial(layer.options, tensor.rank))
        name = emitter.node(
            "ReduceMean" if average else "ReduceMax", [emitter.get(tensor, "keras"), axes], keepdims=int(keepdims)
        )
        return Tensor(shape, {"keras": name})
    name = emitter.node("GlobalAveragePool" if average else "GlobalMaxPool", [emitter.get(tensor, order)])
    if keepdims:
        return Tensor(shape, {order: name})
    return Tensor(shape, {"keras": emitter.node("Flatten", [name], axis=1)})


def _convolved(
    emitter: Emitter, layer: Layer, tensor: Tensor, shape: Shape, kernel: NDArray[np.float32], groups: int
) -> Tensor:
    order = order_for(layer)
    name = emitter.node(
        "Conv",
        [emitter.without_border(tensor, order), emitter.constant(kernel), *_bias(emitter, layer)],
        group=groups,
        **_windows(layer, tensor, "kernel_size"),
    )
    return activated(emitter, layer.options["activation"], Tensor(shape, {order: name}))


def _bias(emitter: Emitter, layer: Layer) -> list[str]:
    return [emitter.constant(layer.weight("bias"))] if "bias" in layer.weights else []


def _channels(layer: Layer, tensor: Tensor) -> int:
    channels = tensor.shape[channel(layer.options, tensor.rank)]
    if channels is None:
        raise ModelRefused("its number of channels is left open")
    return channels


def _depthwise_kernel(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, columns, channels, multiplier) as (channels · multiplier, 1, rows, columns)."""
    turned = np.moveaxis(kernel, (-2, -1), (0, 1))
    return turned.reshape(turned.shape[0] * turned.shape[1], 1, *turned.shape[2:])


def _windows(layer: Layer, tensor: Tensor, name: str) -> dict[str, Any]:
    """The attributes of a window that moves over the input: its size, steps, gaps, and the zeros around the input.

    `same` adds as TensorFlow does: as many as the last window needs, the odd one at the end.
    """
    options = layer.options
    windows = options[name]
    strides = options["strides"] or windows
    dilations = options.get("dilation_rate", (1,) * len(windows))
    begins, ends = [], []
    for index, axis in enumerate(spatial(options, tensor.rank)):
        size, reach = tensor.shape[axis], (windows[index] - 1) * dilations[index] + 1
        total = 0
        if options["padding"] != "valid":
            if size is None:
                raise ModelRefused("its input's size is left open")
            total = max((-(-size // strides[index]) - 1) * strides[index] + reach - size, 0)
        begin = reach - 1 if options["padding"] == "causal" else total // 2
        before, after = tensor.border[index] if tensor.border else (0, 0)
        begins.append(begin + before)
        ends.append((0 if options["padding"] == "causal" else total - begin) + after)
    attributes = {"kernel_shape": list(windows), "strides": list(strides), "pads": [*begins, *ends]}
    if "dilation_rate" in options:
        attributes["dilations"] = list(dilations)
    return attributes


WINDOWS: dict[str, Lowering] = {
    "AveragePooling1D": pooling,
    "AveragePooling2D": pooling,
    "Conv1D": convolution,
    "Conv2D": convolution,
    "Conv2DTranspose": transposed_convolution,
    "DepthwiseConv1D": depthwise_convolution,
    "DepthwiseConv2D": depthwise_convolution,
    "GlobalAveragePooling1D": global_pooling,
    "GlobalAveragePooling2D": global_pooling,
    "GlobalMaxPooling1D": global_pooling,
    "GlobalMaxPooling2D": global_pooling,
    "MaxPooling1D": pooling,
    "MaxPooling2D": pooling,
    "SeparableConv1D": separable_convolution,
    "SeparableConv2D": separable_convolution,
}
