"""Arithmetic: merging layers and operations, element by element or along axes."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from foodscene.models.graph.graph import Array, Layer, Shape
from foodscene.models.graph.layers.kind import aligned
from foodscene.models.graph.lowering.tensors import Emitter, Lowering, Order, Tensor, place, static, turned
from foodscene.models.graph.operations import reduced_axes


def affine(
    emitter: Emitter, tensor: Tensor, factor: Array | float, offset: Array | float, shape: Shape | None = None
) -> Tensor:
    """A factor times x plus an offset, by constants that meet Keras' last axes."""
    order = emitter.order_of(tensor)
    name = emitter.get(tensor, order)
    factor, offset = np.asarray(factor, dtype=np.float32), np.asarray(offset, dtype=np.float32)
    if np.any(factor != 1):
        name = emitter.node("Mul", [name, emitter.constant(turned(factor, tensor.rank, order))])
    if np.any(offset != 0):
        name = emitter.node("Add", [name, emitter.constant(turned(offset, tensor.rank, order))])
    return Tensor(shape or tensor.shape, {order: name})


def along(values: Array, axes: Sequence[int], shape: Shape) -> Array:
    """Values of some axes, with an axis of 1 for each other axis of a shape."""
    kept = sorted(axis % len(shape) for axis in axes)
    sizes = iter(values.shape)
    return values.reshape([next(sizes) if axis in kept else 1 for axis in range(len(shape))])


def together(emitter: Emitter, inputs: Sequence[Tensor | Array], shape: Shape) -> tuple[list[str], Order]:
    """Tensors and constants in one order, to be met element by element."""
    rank = len(shape)
    tensors = [item for item in inputs if isinstance(item, Tensor)]
    even = [item for item in tensors if item.rank == rank]
    order = emitter.order_of(*even) if len(even) == len(tensors) else "keras"
    names = []
    for item in inputs:
        if isinstance(item, Tensor):
            names.append(emitter.get(item, order))
        else:
            names.append(emitter.constant(turned(np.asarray(item, dtype=np.float32), rank, order)))
    return names, order


def _even(emitter: Emitter, tensor: Tensor, rank: int) -> Tensor:
    """As Keras' merging layers see an input of fewer axes."""
    if tensor.rank == rank:
        return tensor
    shape = aligned(tensor.shape, rank)
    return Tensor(shape, {"keras": emitter.reshape(emitter.get(tensor, "keras"), static(shape))})


def _merging(kind: str) -> Lowering:
    def lower(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
        names, order = together(emitter, [_even(emitter, item, len(shape)) for item in inputs], shape)
        made = names[0]
        if kind in ("Max", "Min"):
            made = emitter.node(kind, names)
        else:
            for name in names[1:]:
                made = emitter.node(kind, [made, name])
        if layer.kind == "Average":
            made = emitter.node("Mul", [made, emitter.constant(np.float32(1 / len(names)))])
        return Tensor(shape, {order: made})

    return lower


def _elementwise(kind: str, *, logical: bool = False) -> Lowering:
    """An operator of one or two inputs. Comparisons answer with 0 and 1."""

    def lower(emitter: Emitter, _layer: Layer, inputs: list[Tensor | Array], shape: Shape) -> Tensor:
        names, order = together(emitter, inputs, shape)
        made = emitter.node(kind, names)
        return Tensor(shape, {order: _cast(emitter, made, TensorProto.FLOAT) if logical else made})

    return lower


def _composed(*kinds: str) -> Lowering:
    """Operators of one input, one after the other."""

    def lower(emitter: Emitter, _layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
        names, order = together(emitter, inputs, shape)
        made = names[0]
        for kind in kinds:
            made = emitter.node(kind, [made])
        return Tensor(shape, {order: made})

    return lower


def _square(emitter: Emitter, _layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    names, order = together(emitter, inputs, shape)
    return Tensor(shape, {order: emitter.node("Mul", [names[0], names[0]])})


def _cast(emitter: Emitter, name: str, to: int) -> str:
    return emitter.node("Cast", [name], to=to)


def _where(emitter: Emitter, _layer: Layer, inputs: list[Tensor | Array], shape: Shape) -> Tensor:
    names, order = together(emitter, inputs, shape)
    condition = _cast(emitter, names[0], TensorProto.BOOL)
    return Tensor(shape, {order: emitter.node("Where", [condition, *names[1:]])})


def _change_type(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """Numbers stay float32; a cast to whole numbers cuts what is behind the point, one to bool gives 0 and 1."""
    names, order = together(emitter, inputs, shape)
    dtype = layer.options["dtype"]
    if "float" in dtype or dtype in ("half", "double"):
        return inputs[0]
    whole = TensorProto.BOOL if dtype == "bool" else TensorProto.INT32
    return Tensor(shape, {order: _cast(emitter, _cast(emitter, names[0], whole), TensorProto.FLOAT)})


def _clip(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    names, order = together(emitter, inputs, shape)
    bounds = [emitter.constant(np.float32(layer.options[name])) for name in ("x_min", "x_max")]
    return Tensor(shape, {order: emitter.node("Clip", [names[0], *bounds])})


def _reduction(kind: str) -> Lowering:
    def lower(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
        tensor, keepdims = inputs[0], layer.options["keepdims"]
        axes = reduced_axes(layer.options, tensor.rank)
        spatially = axes == tuple(range(1, tensor.rank - 1))
        order = emitter.order_of(tensor) if keepdims or spatially else "keras"
        over = emitter.integers(sorted(place(axis, tensor.rank, order) for axis in axes))
        name = emitter.node(kind, [emitter.get(tensor, order), over], keepdims=int(keepdims))
        return Tensor(shape, {order if keepdims else "keras": name})

    return lower


ELEMENTWISE: dict[str, Lowering] = {
    "Add": _merging("Add"),
    "Average": _merging("Add"),
    "Maximum": _merging("Max"),
    "Minimum": _merging("Min"),
    "Multiply": _merging("Mul"),
    "Subtract": _merging("Sub"),
    "absolute": _elementwise("Abs"),
    "add": _elementwise("Add"),
    "arctan": _elementwise("Atan"),
    "cast": _change_type,
    "ceil": _elementwise("Ceil"),
    "clip": _clip,
    "cos": _elementwise("Cos"),
    "divide": _elementwise("Div"),
    "equal": _elementwise("Equal", logical=True),
    "exp": _elementwise("Exp"),
    "floor": _elementwise("Floor"),
    "greater": _elementwise("Greater", logical=True),
    "greater_equal": _elementwise("GreaterOrEqual", logical=True),
    "less": _elementwise("Less", logical=True),
    "less_equal": _elementwise("LessOrEqual", logical=True),
    "log": _elementwise("Log"),
    "max": _reduction("ReduceMax"),
    "maximum": _elementwise("Max"),
    "mean": _reduction("ReduceMean"),
    "min": _reduction("ReduceMin"),
    "minimum": _elementwise("Min"),
    "multiply": _elementwise("Mul"),
    "negative": _elementwise("Neg"),
    "power": _elementwise("Pow"),
    "reciprocal": _elementwise("Reciprocal"),
    "round": _elementwise("Round"),
    "rsqrt": _composed("Sqrt", "Reciprocal"),
    "sign": _elementwise("Sign"),
    "sin": _elementwise("Sin"),
    "sqrt": _elementwise("Sqrt"),
    "square": _square,
    "subtract": _elementwise("Sub"),
    "sum": _reduction("ReduceSum"),
    "where": _where,
}
