"""Normalizations and rescaling."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foodscene.models.graph.graph import Layer, ModelRefused, Shape
from foodscene.models.graph.lowering.elementwise import affine, along
from foodscene.models.graph.lowering.tensors import Emitter, Lowering, Order, Tensor, place, static


def batch_norm_factors(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a BatchNormalization multiplies by and adds when it answers, for each channel."""
    variance = layer.weight("moving_variance").astype(np.float64)
    factor = 1 / np.sqrt(variance + layer.options["epsilon"])
    if "gamma" in layer.weights:
        factor = factor * layer.weight("gamma")
    offset = -layer.weight("moving_mean") * factor
    return factor, offset + layer.weight("beta") if "beta" in layer.weights else offset


def _batch_norm(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor, axis = inputs[0], layer.options["axis"]
    factor, offset = batch_norm_factors(layer)
    order = emitter.order_of(tensor)
    if place(axis % tensor.rank, tensor.rank, order) == 1 and tensor.rank > 2:
        zeros, ones = np.zeros(len(factor)), np.ones(len(factor))
        constants = [emitter.constant(values) for values in (factor, offset, zeros, ones)]
        name = emitter.node("BatchNormalization", [emitter.get(tensor, order), *constants], epsilon=0.0)
        return Tensor(shape, {order: name})
    return affine(emitter, tensor, along(factor, [axis], shape), along(offset, [axis], shape))


def _scaled_and_shifted(emitter: Emitter, layer: Layer, tensor: Tensor, axes: Sequence[int]) -> Tensor:
    """What gamma and beta do after a normalization."""
    factor = along(layer.weight("gamma"), axes, tensor.shape) if "gamma" in layer.weights else 1.0
    offset = along(layer.weight("beta"), axes, tensor.shape) if "beta" in layer.weights else 0.0
    return affine(emitter, tensor, factor, offset)


def _layer_norm(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor = inputs[0]
    axes = sorted(axis % tensor.rank for axis in layer.options["axis"])
    name = emitter.get(tensor, "keras")
    epsilon = layer.options["epsilon"]
    if axes == list(range(axes[0], tensor.rank)):
        sizes = [static(shape)[axis - 1] for axis in axes]
        gamma = layer.weight("gamma") if "gamma" in layer.weights else np.ones(sizes)
        constants = [emitter.constant(gamma)]
        if "beta" in layer.weights:
            constants.append(emitter.constant(layer.weight("beta")))
        made = emitter.node("LayerNormalization", [name, *constants], axis=axes[0], epsilon=epsilon)
        return Tensor(shape, {"keras": made})
    over = emitter.integers(axes)
    apart = emitter.node("Sub", [name, emitter.node("ReduceMean", [name, over], keepdims=1)])
    variance = emitter.node("ReduceMean", [emitter.node("Mul", [apart, apart]), over], keepdims=1)
    spread = emitter.node("Sqrt", [emitter.node("Add", [variance, emitter.constant(np.float32(epsilon))])])
    even = Tensor(shape, {"keras": emitter.node("Div", [apart, spread])})
    return _scaled_and_shifted(emitter, layer, even, axes)


def _group_norm(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor = inputs[0]
    axis = layer.options["axis"] % tensor.rank
    order: Order = "first" if axis == tensor.rank - 1 and tensor.rank > 2 else "keras"
    if place(axis, tensor.rank, order) != 1:
        raise ModelRefused("its channels are neither its first nor its last axis")
    sizes = [side for side in static(shape) if side is not None]
    channels = sizes.pop(axis - 1)
    groups = channels if layer.options["groups"] == -1 else layer.options["groups"]
    grouped = emitter.reshape(emitter.get(tensor, order), (groups, None))
    constants = [emitter.constant(np.ones(groups)), emitter.constant(np.zeros(groups))]
    made = emitter.node("InstanceNormalization", [grouped, *constants], epsilon=layer.options["epsilon"])
    back = emitter.reshape(made, (channels, *sizes))
    return _scaled_and_shifted(emitter, layer, Tensor(shape, {order: back}), [axis])


def _rms_norm(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor, axes = inputs[0], layer.options["axis"]
    name = emitter.get(tensor, "keras")
    square = emitter.node("Mul", [name, name])
    mean = emitter.node("ReduceMean", [square, emitter.integers(axis % tensor.rank for axis in axes)], keepdims=1)
    spread = emitter.node("Sqrt", [emitter.node("Add", [mean, emitter.constant(np.float32(layer.options["epsilon"]))])])
    made = Tensor(shape, {"keras": emitter.node("Div", [name, spread])})
    return affine(emitter, made, along(layer.weight("scale"), axes, shape), 0.0)


def _unit_norm(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    return Tensor(shape, {"keras": unit(emitter, emitter.get(inputs[0], "keras"), layer.options["axis"], len(shape))})


def unit(emitter: Emitter, name: str, axes: Sequence[int], rank: int) -> str:
    """Values divided by their Euclidean length, as keras.ops.normalize does."""
    over = emitter.integers(axis % rank for axis in axes)
    total = emitter.node("ReduceSum", [emitter.node("Mul", [name, name]), over], keepdims=1)
    length = emitter.node("Sqrt", [emitter.node("Max", [total, emitter.constant(np.float32(1e-12))])])
    return emitter.node("Div", [name, length])


def _normalization(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    options, given = layer.options, layer.weights
    mean = np.asarray(layer.weight("mean") if "mean" in given else options["mean"], dtype=np.float64)
    variance = np.asarray(layer.weight("variance") if "mean" in given else options["variance"], dtype=np.float64)
    if "mean" in given and mean.ndim:
        mean, variance = (along(values, options["axis"], shape) for values in (mean, variance))
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    if options["invert"]:
        return affine(emitter, inputs[0], deviation, mean)
    return affine(emitter, inputs[0], 1 / deviation, -mean / deviation)


def _rescaling(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    return affine(emitter, inputs[0], np.array(layer.options["scale"]), np.array(layer.options["offset"]), shape)


def _layer_scale(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    return affine(emitter, inputs[0], layer.weight("gamma"), 0.0, shape)


NORMALIZATIONS: dict[str, Lowering] = {
    "BatchNormalization": _batch_norm,
    "GroupNormalization": _group_norm,
    "LayerNormalization": _layer_norm,
    "LayerScale": _layer_scale,
    "Normalization": _normalization,
    "RMSNormalization": _rms_norm,
    "Rescaling": _rescaling,
    "UnitNormalization": _unit_norm,
}
