"""Keras' activations in ONNX, with Keras' default parameters."""

import numpy as np

from foodscene.models.graph.graph import Layer, Shape
from foodscene.models.graph.lowering.tensors import Emitter, Lowering, Tensor, place, turned

_ALONE = {
    "celu": ("Celu", {}),
    "elu": ("Elu", {}),
    "exponential": ("Exp", {}),
    "gelu": ("Gelu", {}),
    "hard_shrink": ("Shrink", {"lambd": 0.5, "bias": 0.0}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "mish": ("Mish", {}),
    "relu": ("Relu", {}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "soft_shrink": ("Shrink", {"lambd": 0.5, "bias": 0.5}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "sparse_sigmoid": ("HardSigmoid", {"alpha": 0.5, "beta": 0.5}),
    "tanh": ("Tanh", {}),
}
"""Activations that ONNX has as an operator."""


def activated(emitter: Emitter, activation: str, tensor: Tensor) -> Tensor:
    """An activation of a tensor, in the order that it has."""
    if activation == "linear":
        return tensor
    order = emitter.order_of(tensor)
    name = emitter.get(tensor, order)
    if activation in ("softmax", "log_softmax"):
        axis = place(tensor.rank - 1, tensor.rank, order)
        made = emitter.node("Softmax" if activation == "softmax" else "LogSoftmax", [name], axis=axis)
    else:
        made = _applied(emitter, activation, name)
    return Tensor(tensor.shape, {order: made})


def _applied(emitter: Emitter, activation: str, name: str) -> str:  # noqa: PLR0911 - one for each
    def number(value: float) -> str:
        return emitter.constant(np.float32(value))

    if activation in _ALONE:
        kind, attributes = _ALONE[activation]
        return emitter.node(kind, [name], **attributes)
    if activation == "relu6":
        return emitter.node("Clip", [name, number(0), number(6)])
    if activation == "hard_tanh":
        return emitter.node("Clip", [name, number(-1), number(1)])
    if activation == "silu":
        return emitter.node("Mul", [name, emitter.node("Sigmoid", [name])])
    if activation == "log_sigmoid":
        return emitter.node("Neg", [emitter.node("Softplus", [emitter.node("Neg", [name])])])
    if activation == "tanh_shrink":
        return emitter.node("Sub", [name, emitter.node("Tanh", [name])])
    if activation == "squareplus":  # (x + √(x² + 4)) / 2
        square = emitter.node("Add", [emitter.node("Mul", [name, name]), number(4)])
        return emitter.node("Mul", [emitter.node("Add", [name, emitter.node("Sqrt", [square])]), number(0.5)])
    # sparse_plus: 0 up to -1, (x + 1)² / 4 up to 1, x from there on
    near = emitter.node("Add", [emitter.node("Clip", [name, number(-1), number(1)]), number(1)])
    curve = emitter.node("Mul", [emitter.node("Mul", [near, near]), number(0.25)])
    return emitter.node("Add", [curve, emitter.node("Relu", [emitter.node("Sub", [name, number(1)])])])


def activation(emitter: Emitter, layer: Layer, inputs: list[Tensor], _shape: Shape) -> Tensor:
    """The layer Activation."""
    return activated(emitter, layer.options["activation"], inputs[0])


def elu(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """The layer ELU."""
    order = emitter.order_of(inputs[0])
    name = emitter.node("Elu", [emitter.get(inputs[0], order)], alpha=layer.options["alpha"])
    return Tensor(shape, {order: name})


def leaky_relu(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """The layer LeakyReLU."""
    order = emitter.order_of(inputs[0])
    name = emitter.node("LeakyRelu", [emitter.get(inputs[0], order)], alpha=layer.options["negative_slope"])
    return Tensor(shape, {order: name})


def relu(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """The layer ReLU, with a slope below its threshold and a most above it."""
    options, order = layer.options, emitter.order_of(inputs[0])
    name = emitter.get(inputs[0], order)
    most, slope, threshold = options["max_value"], options["negative_slope"], options["threshold"]

    def number(value: float) -> str:
        return emitter.constant(np.float32(value))

    if threshold:
        above = emitter.node("Greater", [name, number(threshold)])
        made = emitter.node("Where", [above, name, number(0)])
        if most is not None:
            made = emitter.node("Clip", [made, number(0), number(most)])
    elif most is None:
        made = emitter.node("Relu", [name])
    else:
        made = emitter.node("Clip", [name, number(0), number(most)])
    if slope:
        below = emitter.node("Relu", [emitter.node("Sub", [number(threshold), name])])
        made = emitter.node("Sub", [made, emitter.node("Mul", [below, number(slope)])])
    return Tensor(shape, {order: made})


def softmax(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """The layer Softmax, along one axis or several."""
    tensor = inputs[0]
    order = emitter.order_of(tensor)
    name = emitter.get(tensor, order)
    places = sorted(place(axis % tensor.rank, tensor.rank, order) for axis in layer.options["axis"])
    if len(places) == 1:
        return Tensor(shape, {order: emitter.node("Softmax", [name], axis=places[0])})
    axes = emitter.integers(places)
    powers = emitter.node("Exp", [emitter.node("Sub", [name, emitter.node("ReduceMax", [name, axes], keepdims=1)])])
    total = emitter.node("ReduceSum", [powers, axes], keepdims=1)
    return Tensor(shape, {order: emitter.node("Div", [powers, total])})


def _prelu(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    order = emitter.order_of(inputs[0])
    slope = turned(layer.weight("alpha")[None], inputs[0].rank, order)
    name = emitter.node("PRelu", [emitter.get(inputs[0], order), emitter.constant(slope[0])])
    return Tensor(shape, {order: name})


ACTIVATIONS: dict[str, Lowering] = {
    "Activation": activation,
    "ELU": elu,
    "LeakyReLU": leaky_relu,
    "PReLU": _prelu,
    "ReLU": relu,
    "Softmax": softmax,
}
