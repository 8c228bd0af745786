"""Layers and operations that arrange values anew."""

from foodscene.models.graph.graph import Array, Layer, ModelRefused, Shape
from foodscene.models.graph.lowering.elementwise import together
from foodscene.models.graph.lowering.tensors import Emitter, Lowering, Tensor, place, static
from foodscene.models.graph.operations import whole_index


def _unchanged(_emitter: Emitter, _layer: Layer, inputs: list[Tensor], _shape: Shape) -> Tensor:
    return inputs[0]


def _flatten(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor = inputs[0]
    if layer.options["data_format"] == "channels_first" and tensor.rank > 2:
        name = emitter.get(tensor, "keras")
        name = emitter.node("Transpose", [name], perm=(0, *range(2, tensor.rank), 1))
    else:
        name = _values(emitter, tensor)
    return Tensor(shape, {"keras": emitter.reshape(name, static(shape))})


def _values(emitter: Emitter, tensor: Tensor) -> str:
    """The values in Keras' order, in whatever shape."""
    if tensor.names and not tensor.border and all(size == 1 for size in tensor.shape[1:-1]):
        return next(iter(tensor.names.values()))
    return emitter.get(tensor, "keras")


def _reshape(emitter: Emitter, _layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    sizes, name = static(shape), _values(emitter, inputs[0])
    if len(sizes) > 1 and all(size == 1 for size in sizes[:-1]):  # the same in either order; convolutions come next
        return Tensor(shape, {"first": emitter.reshape(name, (sizes[-1], *sizes[:-1]))})
    return Tensor(shape, {"keras": emitter.reshape(name, sizes)})


def _permute(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    name = emitter.get(inputs[0], "keras")
    return Tensor(shape, {"keras": emitter.node("Transpose", [name], perm=(0, *layer.options["dims"]))})


def _repeat(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    name = emitter.node("Unsqueeze", [emitter.get(inputs[0], "keras"), emitter.integers([1])])
    return Tensor(shape, {"keras": emitter.node("Expand", [name, emitter.integers([1, layer.options["n"], 1])])})


def _concatenate(emitter: Emitter, layer: Layer, inputs: list[Tensor | Array], shape: Shape) -> Tensor:
    names, order = together(emitter, inputs, shape)
    if any(not isinstance(item, Tensor) for item in inputs):
        raise ModelRefused("it joins a constant, which has no batch")
    axis = place(layer.options["axis"] % len(shape), len(shape), order)
    return Tensor(shape, {order: emitter.node("Concat", names, axis=axis)})


def _stack(emitter: Emitter, layer: Layer, inputs: list[Tensor | Array], shape: Shape) -> Tensor:
    axis = layer.options["axis"] % len(shape)
    names = []
    for item in inputs:
        if not isinstance(item, Tensor):
            raise ModelRefused("it joins a constant, which has no batch")
        names.append(emitter.node("Unsqueeze", [emitter.get(item, "keras"), emitter.integers([axis])]))
    return Tensor(shape, {"keras": emitter.node("Concat", names, axis=axis)})


def _transpose(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    order = [axis % inputs[0].rank for axis in layer.options["axes"]]
    return Tensor(shape, {"keras": emitter.node("Transpose", [emitter.get(inputs[0], "keras")], perm=order)})


def _getitem(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor = inputs[0]
    name = emitter.get(tensor, "keras")
    parts = whole_index(layer.options["index"], tensor.rank)
    sides = (None, *static(tensor.shape))
    bounds: list[tuple[int, int, int, int]] = []  # axis, start, end, step
    dropped, axis = [], 0
    for part in parts:
        if part is None:
            continue
        size = sides[axis]
        if isinstance(part, int) and size is not None:
            bounds.append((axis, part % size, part % size + 1, 1))
            dropped.append(axis)
        elif part != (None, None, None) and size is not None:
            start, end, step = slice(*part).indices(size)
            bounds.append((axis, start, end if end >= 0 else -size - 1, step))
        axis += 1
    if bounds:
        axes, starts, ends, steps = zip(*bounds, strict=True)
        name = emitter.node("Slice", [name, *(emitter.integers(values) for values in (starts, ends, axes, steps))])
    if dropped or None in parts:
        name = emitter.reshape(name, static(shape))
    return Tensor(shape, {"keras": name})


SHAPING: dict[str, Lowering] = {
    "AlphaDropout": _unchanged,
    "Concatenate": _concatenate,
    "Dropout": _unchanged,
    "Flatten": _flatten,
    "GaussianDropout": _unchanged,
    "Identity": _unchanged,
    "Permute": _permute,
    "RepeatVector": _repeat,
    "Reshape": _reshape,
    "SpatialDropout1D": _unchanged,
    "SpatialDropout2D": _unchanged,
    "concatenate": _concatenate,
    "expand_dims": _reshape,
    "getitem": _getitem,
    "reshape": _reshape,
    "squeeze": _reshape,
    "stack": _stack,
    "transpose": _transpose,
}
