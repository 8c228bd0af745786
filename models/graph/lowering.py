"""Layers and operations in ONNX, one function each. Convolutions and poolings are in `windows`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from foodscene.models.graph import activations, windows
from foodscene.models.graph.graph import Array, Layer, ModelRefused, Shape
from foodscene.models.graph.layers import aligned, dot_axes, einsum_equation, spatial
from foodscene.models.graph.operations import reduced_axes, whole_index
from foodscene.models.graph.tensors import Emitter, Order, Tensor, place, static, turned

Lowering: TypeAlias = Callable[[Emitter, Layer, list[Any], Shape], Tensor]


def _unchanged(_emitter: Emitter, _layer: Layer, inputs: list[Tensor], _shape: Shape) -> Tensor:
    return inputs[0]


def _dense(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor, kernel = inputs[0], layer.weight("kernel")
    bias = layer.weight("bias") if "bias" in layer.weights else None
    order: Order = "keras"
    if tensor.rank == 2:
        names = [emitter.get(tensor, "keras"), emitter.constant(kernel)]
        made = emitter.node("Gemm", [*names, emitter.constant(bias)] if bias is not None else names)
    elif tensor.rank == 4 and "keras" not in tensor.names:  # a convolution of one pixel, without a turn
        order = "first"
        names = [emitter.get(tensor, "first"), emitter.constant(kernel.T.reshape(*kernel.T.shape, 1, 1))]
        made = emitter.node("Conv", [*names, emitter.constant(bias)] if bias is not None else names)
    else:
        made = emitter.node("MatMul", [emitter.get(tensor, "keras"), emitter.constant(kernel)])
        if bias is not None:
            made = emitter.node("Add", [made, emitter.constant(bias)])
    return activations.activated(emitter, layer.options["activation"], Tensor(shape, {order: made}))


def _einsum_dense(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    given, kernel, output = einsum_equation(layer.options, inputs[0].shape)
    names = [emitter.get(inputs[0], "keras"), emitter.constant(layer.weight("kernel"))]
    made = emitter.node("Einsum", names, equation=f"{given},{kernel}->{output}")
    if "bias" in layer.weights:
        made = emitter.node("Add", [made, emitter.constant(layer.weight("bias"))])
    return activations.activated(emitter, layer.options["activation"], Tensor(shape, {"keras": made}))


def _attention(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """MultiHeadAttention: softmax(q kᵀ / √d) v for each head, by matrix products."""
    query, value = inputs[0], inputs[1]
    key = inputs[2] if len(inputs) > 2 else value

    def heads(name: str, tensor: Tensor, order: tuple[int, ...], factor: float = 1.0) -> str:
        kernel = layer.weight(f"{name}/kernel") * np.float32(factor)
        flat = kernel.reshape(kernel.shape[0], -1)
        made = emitter.node("MatMul", [emitter.get(tensor, "keras"), emitter.constant(flat)])
        if f"{name}/bias" in layer.weights:
            bias = layer.weight(f"{name}/bias").ravel() * np.float32(factor)
            made = emitter.node("Add", [made, emitter.constant(bias)])
        length = static(tensor.shape)[0]
        return emitter.node("Transpose", [emitter.reshape(made, (length, *kernel.shape[1:]))], perm=order)

    scale = 1 / float(np.sqrt(layer.options["key_dim"]))
    scores = emitter.node("MatMul", [heads("query", query, (0, 2, 1, 3), scale), heads("key", key, (0, 2, 3, 1))])
    mixed = emitter.node("MatMul", [emitter.node("Softmax", [scores], axis=-1), heads("value", value, (0, 2, 1, 3))])
    kernel = layer.weight("attention_output/kernel")
    flat = kernel.reshape(-1, kernel.shape[-1])
    together = emitter.node("Transpose", [mixed], perm=(0, 2, 1, 3))
    made = emitter.reshape(together, (static(shape)[0], flat.shape[0]))
    made = emitter.node("MatMul", [made, emitter.constant(flat)])
    if "attention_output/bias" in layer.weights:
        made = emitter.node("Add", [made, emitter.constant(layer.weight("attention_output/bias"))])
    return Tensor(shape, {"keras": made})


def _affine(
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


def _along(values: Array, axes: Sequence[int], shape: Shape) -> Array:
    """Values of some axes, with an axis of 1 for each other axis of a shape."""
    kept = sorted(axis % len(shape) for axis in axes)
    sizes = iter(values.shape)
    return values.reshape([next(sizes) if axis in kept else 1 for axis in range(len(shape))])


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
    return _affine(emitter, tensor, _along(factor, [axis], shape), _along(offset, [axis], shape))


def _scaled_and_shifted(emitter: Emitter, layer: Layer, tensor: Tensor, axes: Sequence[int]) -> Tensor:
    """What gamma and beta do after a normalization."""
    factor = _along(layer.weight("gamma"), axes, tensor.shape) if "gamma" in layer.weights else 1.0
    offset = _along(layer.weight("beta"), axes, tensor.shape) if "beta" in layer.weights else 0.0
    return _affine(emitter, tensor, factor, offset)


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
    return _affine(emitter, made, _along(layer.weight("scale"), axes, shape), 0.0)


def _unit_norm(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    return Tensor(shape, {"keras": _unit(emitter, emitter.get(inputs[0], "keras"), layer.options["axis"], len(shape))})


def _unit(emitter: Emitter, name: str, axes: Sequence[int], rank: int) -> str:
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
        mean, variance = (_along(values, options["axis"], shape) for values in (mean, variance))
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    if options["invert"]:
        return _affine(emitter, inputs[0], deviation, mean)
    return _affine(emitter, inputs[0], 1 / deviation, -mean / deviation)


def _rescaling(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    return _affine(emitter, inputs[0], np.array(layer.options["scale"]), np.array(layer.options["offset"]), shape)


def _layer_scale(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    return _affine(emitter, inputs[0], layer.weight("gamma"), 0.0, shape)


def _prelu(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    order = emitter.order_of(inputs[0])
    slope = turned(layer.weight("alpha")[None], inputs[0].rank, order)
    name = emitter.node("PRelu", [emitter.get(inputs[0], order), emitter.constant(slope[0])])
    return Tensor(shape, {order: name})


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


def _zero_padding(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor, border = inputs[0], layer.options["padding"]
    if layer.options["data_format"] == "channels_first":
        return Tensor(shape, {"keras": emitter.pad(emitter.get(tensor, "keras"), border, "first")})
    order = emitter.order_of(tensor)
    return Tensor(shape, {order: emitter.pad(emitter.get(tensor, order), border, order)})


def _cut(emitter: Emitter, tensor: Tensor, axes: Sequence[int], starts: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """A part of a tensor along some of Keras' axes."""
    order = emitter.order_of(tensor)
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    places = [place(axis, tensor.rank, order) for axis in axes]
    name = emitter.node(
        "Slice",
        [emitter.get(tensor, order), emitter.integers(starts), emitter.integers(ends), emitter.integers(places)],
    )
    shape = list(tensor.shape)
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    return Tensor(tuple(shape), {order: name})


def _cropping(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    axes = spatial(layer.options, inputs[0].rank)
    starts = [before for before, _ in layer.options["cropping"]]
    return _cut(emitter, inputs[0], axes, starts, [static(shape)[axis - 1] for axis in axes])


def _center_crop(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor, options = inputs[0], layer.options
    axes = spatial(options, 4)
    given = [static(tensor.shape)[axis - 1] for axis in axes]
    wanted = [options["height"], options["width"]]
    if all(has >= needs for has, needs in zip(given, wanted, strict=True)):
        return _cut(
            emitter, tensor, axes, [(has - needs) // 2 for has, needs in zip(given, wanted, strict=True)], wanted
        )
    return _resized(emitter, _of_aspect(emitter, tensor, layer), layer, shape, "bilinear")


def _of_aspect(emitter: Emitter, tensor: Tensor, layer: Layer) -> Tensor:
    """The largest part in the middle that has the aspect ratio of what a layer makes (keras.utils' smart_resize)."""
    axes = spatial(layer.options, 4)
    height, width = (static(tensor.shape)[axis - 1] for axis in axes)
    target_height, target_width = layer.options["height"], layer.options["width"]
    part = [
        min(height, int(float(width * target_height) / target_width)),
        min(width, int(float(height * target_width) / target_height)),
    ]
    if part == [height, width]:
        return tensor
    if min(part) < 1:
        raise ModelRefused("nothing is left of its input")
    starts = [int(float(height - part[0]) / 2), int(float(width - part[1]) / 2)]
    return _cut(emitter, tensor, axes, starts, part)


def _resizing(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor = _of_aspect(emitter, inputs[0], layer) if layer.options["crop_to_aspect_ratio"] else inputs[0]
    return _resized(emitter, tensor, layer, shape, layer.options["interpolation"])


def _upsampling(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    return _resized(emitter, inputs[0], layer, shape, layer.options.get("interpolation", "nearest"))


def _resized(emitter: Emitter, tensor: Tensor, layer: Layer, shape: Shape, how: str) -> Tensor:
    """Interpolated as TensorFlow does: pixels have their centres at one half."""
    order = windows.order_for(layer)
    sizes = [static(shape)[axis - 1] for axis in spatial(layer.options, len(shape))]
    attributes: dict[str, Any] = {"bilinear": {"mode": "linear"}, "nearest": {"mode": "nearest"}}.get(how, {})
    if how == "nearest":
        attributes["nearest_mode"] = "round_prefer_ceil"
    if how == "bicubic":
        attributes = {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}
    given = emitter.get(tensor, order)
    # Not by the attribute `axes`, which ONNX Runtime 1.31 loses where it moves transposes.
    whole = emitter.node("Concat", [emitter.node("Shape", [given], start=0, end=2), emitter.integers(sizes)], axis=0)
    name = emitter.node(
        "Resize",
        [given, "", "", whole],
        coordinate_transformation_mode="half_pixel",
        **attributes,
    )
    return Tensor(shape, {order: name})


def _together(emitter: Emitter, inputs: Sequence[Tensor | Array], shape: Shape) -> tuple[list[str], Order]:
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
        names, order = _together(emitter, [_even(emitter, item, len(shape)) for item in inputs], shape)
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


def _concatenate(emitter: Emitter, layer: Layer, inputs: list[Tensor | Array], shape: Shape) -> Tensor:
    names, order = _together(emitter, inputs, shape)
    if any(not isinstance(item, Tensor) for item in inputs):
        raise ModelRefused("it joins a constant, which has no batch")
    axis = place(layer.options["axis"] % len(shape), len(shape), order)
    return Tensor(shape, {order: emitter.node("Concat", names, axis=axis)})


def _dot(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    first, second = inputs
    one, two = dot_axes(layer.options, (first.shape, second.shape))
    names = [emitter.get(item, "keras") for item in inputs]
    if layer.options["normalize"]:
        names = [
            _unit(emitter, name, [axis], item.rank) for name, axis, item in zip(names, (one, two), inputs, strict=True)
        ]
    left = "".join("z" if axis == one else "bij"[axis] for axis in range(first.rank))
    right = "".join("z" if axis == two else "bkl"[axis] for axis in range(second.rank))
    output = "b" + (left + right).replace("b", "").replace("z", "")
    made = emitter.node("Einsum", names, equation=f"{left},{right}->{output}")
    return Tensor(shape, {"keras": made if len(output) > 1 else emitter.reshape(made, (1,))})


def _elementwise(kind: str, *, logical: bool = False) -> Lowering:
    """An operator of one or two inputs. Comparisons answer with 0 and 1."""

    def lower(emitter: Emitter, _layer: Layer, inputs: list[Tensor | Array], shape: Shape) -> Tensor:
        names, order = _together(emitter, inputs, shape)
        made = emitter.node(kind, names)
        return Tensor(shape, {order: _cast(emitter, made, TensorProto.FLOAT) if logical else made})

    return lower


def _composed(*kinds: str) -> Lowering:
    """Operators of one input, one after the other."""

    def lower(emitter: Emitter, _layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
        names, order = _together(emitter, inputs, shape)
        made = names[0]
        for kind in kinds:
            made = emitter.node(kind, [made])
        return Tensor(shape, {order: made})

    return lower


def _square(emitter: Emitter, _layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    names, order = _together(emitter, inputs, shape)
    return Tensor(shape, {order: emitter.node("Mul", [names[0], names[0]])})


def _cast(emitter: Emitter, name: str, to: int) -> str:
    return emitter.node("Cast", [name], to=to)


def _where(emitter: Emitter, _layer: Layer, inputs: list[Tensor | Array], shape: Shape) -> Tensor:
    names, order = _together(emitter, inputs, shape)
    condition = _cast(emitter, names[0], TensorProto.BOOL)
    return Tensor(shape, {order: emitter.node("Where", [condition, *names[1:]])})


def _change_type(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """Numbers stay float32; a cast to whole numbers cuts what is behind the point, one to bool gives 0 and 1."""
    names, order = _together(emitter, inputs, shape)
    dtype = layer.options["dtype"]
    if "float" in dtype or dtype in ("half", "double"):
        return inputs[0]
    whole = TensorProto.BOOL if dtype == "bool" else TensorProto.INT32
    return Tensor(shape, {order: _cast(emitter, _cast(emitter, names[0], whole), TensorProto.FLOAT)})


def _clip(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    names, order = _together(emitter, inputs, shape)
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


def _matmul(emitter: Emitter, _layer: Layer, inputs: list[Tensor | Array], shape: Shape) -> Tensor:
    names = [emitter.get(item, "keras") if isinstance(item, Tensor) else emitter.constant(item) for item in inputs]
    return Tensor(shape, {"keras": emitter.node("MatMul", names)})


LOWERINGS: dict[str, Lowering] = {
    "Activation": activations.activation,
    "Add": _merging("Add"),
    "AlphaDropout": _unchanged,
    "Average": _merging("Add"),
    "AveragePooling1D": windows.pooling,
    "AveragePooling2D": windows.pooling,
    "BatchNormalization": _batch_norm,
    "CenterCrop": _center_crop,
    "Concatenate": _concatenate,
    "Conv1D": windows.convolution,
    "Conv2D": windows.convolution,
    "Conv2DTranspose": windows.transposed_convolution,
    "Cropping1D": _cropping,
    "Cropping2D": _cropping,
    "Dense": _dense,
    "DepthwiseConv1D": windows.depthwise_convolution,
    "DepthwiseConv2D": windows.depthwise_convolution,
    "Dot": _dot,
    "Dropout": _unchanged,
    "ELU": activations.elu,
    "EinsumDense": _einsum_dense,
    "Flatten": _flatten,
    "GaussianDropout": _unchanged,
    "GlobalAveragePooling1D": windows.global_pooling,
    "GlobalAveragePooling2D": windows.global_pooling,
    "GlobalMaxPooling1D": windows.global_pooling,
    "GlobalMaxPooling2D": windows.global_pooling,
    "GroupNormalization": _group_norm,
    "Identity": _unchanged,
    "LayerNormalization": _layer_norm,
    "LayerScale": _layer_scale,
    "LeakyReLU": activations.leaky_relu,
    "MaxPooling1D": windows.pooling,
    "MaxPooling2D": windows.pooling,
    "Maximum": _merging("Max"),
    "Minimum": _merging("Min"),
    "MultiHeadAttention": _attention,
    "Multiply": _merging("Mul"),
    "Normalization": _normalization,
    "PReLU": _prelu,
    "Permute": _permute,
    "RMSNormalization": _rms_norm,
    "ReLU": activations.relu,
    "RepeatVector": _repeat,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Resizing": _resizing,
    "SeparableConv1D": windows.separable_convolution,
    "SeparableConv2D": windows.separable_convolution,
    "Softmax": activations.softmax,
    "SpatialDropout1D": _unchanged,
    "SpatialDropout2D": _unchanged,
    "Subtract": _merging("Sub"),
    "UnitNormalization": _unit_norm,
    "UpSampling1D": _upsampling,
    "UpSampling2D": _upsampling,
    "ZeroPadding1D": _zero_padding,
    "ZeroPadding2D": _zero_padding,
    "absolute": _elementwise("Abs"),
    "add": _elementwise("Add"),
    "arctan": _elementwise("Atan"),
    "cast": _change_type,
    "ceil": _elementwise("Ceil"),
    "clip": _clip,
    "concatenate": _concatenate,
    "cos": _elementwise("Cos"),
    "divide": _elementwise("Div"),
    "equal": _elementwise("Equal", logical=True),
    "exp": _elementwise("Exp"),
    "expand_dims": _reshape,
    "floor": _elementwise("Floor"),
    "getitem": _getitem,
    "greater": _elementwise("Greater", logical=True),
    "greater_equal": _elementwise("GreaterOrEqual", logical=True),
    "less": _elementwise("Less", logical=True),
    "less_equal": _elementwise("LessOrEqual", logical=True),
    "log": _elementwise("Log"),
    "matmul": _matmul,
    "max": _reduction("ReduceMax"),
    "maximum": _elementwise("Max"),
    "mean": _reduction("ReduceMean"),
    "min": _reduction("ReduceMin"),
    "minimum": _elementwise("Min"),
    "multiply": _elementwise("Mul"),
    "negative": _elementwise("Neg"),
    "power": _elementwise("Pow"),
    "reciprocal": _elementwise("Reciprocal"),
    "reshape": _reshape,
    "round": _elementwise("Round"),
    "rsqrt": _composed("Sqrt", "Reciprocal"),
    "sign": _elementwise("Sign"),
    "sin": _elementwise("Sin"),
    "sqrt": _elementwise("Sqrt"),
    "square": _square,
    "squeeze": _reshape,
    "subtract": _elementwise("Sub"),
    "sum": _reduction("ReduceSum"),
    "transpose": _transpose,
    "where": _where,
}
"""How each kind of layer and operation is written in ONNX."""
