"""Keras' layers that foodscene knows: their options, the shapes of their weights, the shape of their answer.

Defaults, names and formulas are those of Keras 3 (keras.io/api/layers). What stands in `LAYERS` is the allow-list:
a file with any other layer is refused.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from foodscene.models.graph.graph import ModelRefused, Shape
from foodscene.models.graph.options import (
    Option,
    activation,
    axes,
    axis,
    choice,
    dimensions,
    flag,
    integer,
    margins,
    number,
    numbers,
    optional,
    sizes,
    text,
)

Options: TypeAlias = Mapping[str, Any]
WeightShapes: TypeAlias = dict[str, tuple[int, ...]]
ShapeRule: TypeAlias = Callable[[Options, tuple[Shape, ...]], Shape]
WeightRule: TypeAlias = Callable[[Options, tuple[Shape, ...]], WeightShapes]


class Kind(NamedTuple):
    """What foodscene knows of one layer class. `weights` are in the order in which Keras keeps them."""

    options: dict[str, Option]
    shape: ShapeRule
    weights: WeightRule = lambda _options, _shapes: {}
    inputs: tuple[int, int] = (1, 1)
    """How few and how many inputs it takes."""


def same_shape(_options: Options, shapes: tuple[Shape, ...]) -> Shape:
    """The answer has the first input's shape."""
    return shapes[0]


def known(size: int | None, what: str) -> int:
    """A size that must not be open."""
    if size is None:
        raise ModelRefused(f"its {what} is left open")
    return size


def position(index: int, rank: int) -> int:
    """An axis counted from the front. Raises `ModelRefused` where there is none."""
    if not -rank <= index < rank:
        raise ModelRefused(f"its axis {index} does not exist in an input of {rank} axes")
    return index % rank


def spatial(options: Options, rank: int) -> tuple[int, ...]:
    """The axes of height and width (or time)."""
    return tuple(range(2, rank)) if options["data_format"] == "channels_first" else tuple(range(1, rank - 1))


def channel(options: Options, rank: int) -> int:
    """The axis of the channels."""
    return 1 if options["data_format"] == "channels_first" else rank - 1


def _of_rank(shapes: tuple[Shape, ...], rank: int) -> Shape:
    if len(shapes[0]) != rank:
        raise ModelRefused(f"it takes an input of {rank} axes, batch included, not {len(shapes[0])}")
    return shapes[0]


def _window(size: int | None, window: int, stride: int, dilation: int, padding: str) -> int | None:
    """How many places a window takes along an axis."""
    if size is None:
        return None
    if padding != "valid":
        return -(-size // stride)
    return _positive((size - (window - 1) * dilation - 1) // stride + 1)


def _positive(size: int) -> int:
    if size < 1:
        raise ModelRefused("nothing is left of its input: it is smaller than the window or the crop")
    return size


def _product(sizes_: tuple[int | None, ...]) -> int | None:
    return None if None in sizes_ else math.prod(size for size in sizes_ if size is not None)


def _mapped(options: Options, sizes_: list[int | None], channels: int | None) -> Shape:
    """A shape of new spatial sizes and channels."""
    if options["data_format"] == "channels_first":
        return (None, channels, *sizes_)
    return (None, *sizes_, channels)


_DATA_FORMAT = Option(choice("channels_last", "channels_first"), "channels_last")
_PADDING = Option(choice("valid", "same"), "valid")
_ACTIVATION = Option(activation, "linear")
_BIAS = Option(flag, True)
_EPSILON = Option(number, 1e-3)
_CENTER_SCALE = {"center": Option(flag, True), "scale": Option(flag, True)}


def _windows(rank: int, window: str, padding: tuple[str, ...] = ("valid", "same")) -> dict[str, Option]:
    each = sizes(rank - 2)
    return {
        window: Option(each),
        "strides": Option(each, (1,) * (rank - 2)),
        "padding": Option(choice(*padding), "valid"),
        "data_format": _DATA_FORMAT,
        "dilation_rate": Option(each, (1,) * (rank - 2)),
    }


def _convolved(options: Options, shape: Shape) -> list[int | None]:
    sides = [shape[place] for place in spatial(options, len(shape))]
    return [
        _window(size, window, stride, dilation, options["padding"])
        for size, window, stride, dilation in zip(
            sides, options["kernel_size"], options["strides"], options["dilation_rate"], strict=True
        )
    ]


def _convolution(rank: int) -> Kind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = _of_rank(shapes, rank)
        return _mapped(options, _convolved(options, given), options["filters"])

    def weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
        channels = known(shapes[0][channel(options, rank)], "number of channels")
        groups, filters = options["groups"], options["filters"]
        if channels % groups or filters % groups:
            raise ModelRefused(f"its {channels} channels and {filters} filters do not divide into {groups} groups")
        kernel = (*options["kernel_size"], channels // groups, filters)
        return {"kernel": kernel} | ({"bias": (filters,)} if options["use_bias"] else {})

    paddings = ("valid", "same", "causal") if rank == 3 else ("valid", "same")
    options = {
        "filters": Option(integer),
        **_windows(rank, "kernel_size", paddings),
        "groups": Option(integer, 1),
        "activation": _ACTIVATION,
        "use_bias": _BIAS,
    }
    return Kind(options, shape, weights)


def _depthwise_convolution(rank: int) -> Kind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = _of_rank(shapes, rank)
        channels = known(given[channel(options, rank)], "number of channels")
        return _mapped(options, _convolved(options, given), channels * options["depth_multiplier"])

    def weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
        channels = known(shapes[0][channel(options, rank)], "number of channels")
        multiplier = options["depth_multiplier"]
        kernel = (*options["kernel_size"], channels, multiplier)
        return {"kernel": kernel} | ({"bias": (channels * multiplier,)} if options["use_bias"] else {})

    options = {
        **_windows(rank, "kernel_size"),
        "depth_multiplier": Option(integer, 1),
        "activation": _ACTIVATION,
        "use_bias": _BIAS,
    }
    return Kind(options, shape, weights)


def _separable_convolution(rank: int) -> Kind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = _of_rank(shapes, rank)
        return _mapped(options, _convolved(options, given), options["filters"])

    def weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
        channels = known(shapes[0][channel(options, rank)], "number of channels")
        multiplier, filters = options["depth_multiplier"], options["filters"]
        ones = (1,) * (rank - 2)
        kernels: WeightShapes = {
            "depthwise_kernel": (*options["kernel_size"], channels, multiplier),
            "pointwise_kernel": (*ones, channels * multiplier, filters),
        }
        return kernels | ({"bias": (filters,)} if options["use_bias"] else {})

    options = {
        "filters": Option(integer),
        **_windows(rank, "kernel_size"),
        "depth_multiplier": Option(integer, 1),
        "activation": _ACTIVATION,
        "use_bias": _BIAS,
    }
    return Kind(options, shape, weights)


def transposed_size(size: int, index: int, options: Options) -> int:
    """What a transposed convolution makes of a side: keras.layers.Conv2DTranspose's formula."""
    stride: int = options["strides"][index]
    window: int = (options["kernel_size"][index] - 1) * options["dilation_rate"][index] + 1
    if options["output_padding"] is None:
        return size * stride + (max(window - stride, 0) if options["padding"] == "valid" else 0)
    trimmed = 2 * (window // 2) if options["padding"] == "same" else 0
    return _positive((size - 1) * stride + window - trimmed + options["output_padding"][index])


def _transposed_convolution() -> Kind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = _of_rank(shapes, 4)
        sides = [given[place] for place in spatial(options, 4)]
        if options["output_padding"] and any(
            padding >= stride for padding, stride in zip(options["output_padding"], options["strides"], strict=True)
        ):
            raise ModelRefused("its output_padding is not smaller than its strides")
        made = [None if size is None else transposed_size(size, place, options) for place, size in enumerate(sides)]
        return _mapped(options, made, options["filters"])

    def weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
        channels = known(shapes[0][channel(options, 4)], "number of channels")
        kernel = (*options["kernel_size"], options["filters"], channels)
        return {"kernel": kernel} | ({"bias": (options["filters"],)} if options["use_bias"] else {})

    options = {
        "filters": Option(integer),
        **_windows(4, "kernel_size"),
        "output_padding": Option(optional(sizes(2, lowest=0)), None),
        "activation": _ACTIVATION,
        "use_bias": _BIAS,
    }
    return Kind(options, shape, weights)


def _dense_shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    if len(shapes[0]) < 2:
        raise ModelRefused("it takes an input of at least two axes")
    return (*shapes[0][:-1], options["units"])


def _dense_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    units = options["units"]
    kernel = (known(shapes[0][-1], "number of features"), units)
    return {"kernel": kernel} | ({"bias": (units,)} if options["use_bias"] else {})


def _pooling(rank: int) -> Kind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = _of_rank(shapes, rank)
        strides = options["strides"] or options["pool_size"]
        sides = [given[place] for place in spatial(options, rank)]
        made = [
            _window(size, window, stride, 1, options["padding"])
            for size, window, stride in zip(sides, options["pool_size"], strides, strict=True)
        ]
        return _mapped(options, made, given[channel(options, rank)])

    each = sizes(rank - 2)
    options = {
        "pool_size": Option(each, (2,) * (rank - 2)),
        "strides": Option(optional(each), None),
        "padding": _PADDING,
        "data_format": _DATA_FORMAT,
    }
    return Kind(options, shape)


def _global_pooling(rank: int) -> Kind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = _of_rank(shapes, rank)
        channels = given[channel(options, rank)]
        if not options["keepdims"]:
            return (None, channels)
        return _mapped(options, [1] * (rank - 2), channels)

    return Kind({"data_format": _DATA_FORMAT, "keepdims": Option(flag, False)}, shape)


def _margins_of(rank: int, name: str, sign: int, default: int) -> Kind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = _of_rank(shapes, rank)
        made = [
            None if given[place] is None else _positive(known(given[place], "size") + sign * (before + after))
            for place, (before, after) in zip(spatial(options, rank), options[name], strict=True)
        ]
        return _mapped(options, made, given[channel(options, rank)])

    reader = margins(rank - 2)
    return Kind({name: Option(reader, reader(default)), "data_format": _DATA_FORMAT}, shape)


def _upsampling(rank: int) -> Kind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = _of_rank(shapes, rank)
        made = [
            None if given[place] is None else known(given[place], "size") * factor
            for place, factor in zip(spatial(options, rank), options["size"], strict=True)
        ]
        return _mapped(options, made, given[channel(options, rank)])

    options = {"size": Option(sizes(rank - 2), (2,) * (rank - 2)), "data_format": _DATA_FORMAT}
    if rank == 4:
        options["interpolation"] = Option(choice("nearest", "bilinear"), "nearest")
    return Kind(options, shape)


def _to_size(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    given = _of_rank(shapes, 4)
    made: list[int | None] = [options["height"], options["width"]]
    return _mapped(options, made, given[channel(options, 4)])


def _batch_norm_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    size = (known(shapes[0][position(options["axis"], len(shapes[0]))], "number of channels"),)
    names = ("gamma",) * options["scale"] + ("beta",) * options["center"] + ("moving_mean", "moving_variance")
    return dict.fromkeys(names, size)


def _on_axis(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    position(options["axis"], len(shapes[0]))
    return shapes[0]


def _on_axes(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    for index in options["axis"]:
        position(index, len(shapes[0]))
    return shapes[0]


def _norm_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    places = sorted(position(index, len(shapes[0])) for index in options["axis"])
    size = tuple(known(shapes[0][place], "size") for place in places)
    return dict.fromkeys(("gamma",) * options["scale"] + ("beta",) * options["center"], size)


def _layer_norm_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    if options["rms_scaling"]:
        raise ModelRefused("its option rms_scaling is set, which foodscene does not know")
    return _norm_weights(options, shapes)


def _group_norm_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    channels = known(shapes[0][position(options["axis"], len(shapes[0]))], "number of channels")
    groups = channels if options["groups"] == -1 else options["groups"]
    if channels % groups:
        raise ModelRefused(f"its {channels} channels do not divide into {groups} groups")
    return dict.fromkeys(("gamma",) * options["scale"] + ("beta",) * options["center"], (channels,))


def _rms_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    places = sorted(position(index, len(shapes[0])) for index in options["axis"])
    return {"scale": tuple(known(shapes[0][place], "size") for place in places)}


def _normalization_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    if options["mean"] is not None or options["variance"] is not None:
        if options["mean"] is None or options["variance"] is None:
            raise ModelRefused("it has a mean without a variance, or a variance without a mean")
        return {}
    places = sorted(position(index, len(shapes[0])) for index in options["axis"] or ())
    size = tuple(known(shapes[0][place], "size") for place in places)
    return {"mean": size, "variance": size, "count": ()}


def _prelu_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    shared = {position(index, len(shapes[0])) for index in options["shared_axes"] or ()}
    size = [1 if place in shared else known(side, "size") for place, side in enumerate(shapes[0][1:], start=1)]
    return {"alpha": tuple(size)}


def _flattened(_options: Options, shapes: tuple[Shape, ...]) -> Shape:
    return (None, _product(shapes[0][1:]) if len(shapes[0]) > 1 else 1)


def _reshaped(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    return (None, *fitted(options["target_shape"], shapes[0][1:]))


def fitted(target: tuple[int, ...], given: tuple[int | None, ...]) -> Shape:
    """A target shape with its one -1 worked out. Raises `ModelRefused` where it does not hold as many values."""
    if target.count(-1) > 1:
        raise ModelRefused(f"its shape {target} leaves more than one side open")
    values = _product(given)
    if values is None:
        return tuple(None if size == -1 else size for size in target)
    rest = math.prod(size for size in target if size != -1)
    if (values % rest if -1 in target else values != rest) or rest == 0:
        raise ModelRefused(f"the shape {target} does not hold the {values} values of its input")
    return tuple(values // rest if size == -1 else size for size in target)


def _permuted(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    if sorted(options["dims"]) != list(range(1, len(shapes[0]))):
        raise ModelRefused(f"its order {options['dims']} does not fit an input of {len(shapes[0])} axes")
    return (None, *(shapes[0][place] for place in options["dims"]))


def _repeated(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    return (None, options["n"], _of_rank(shapes, 2)[1])


def _merged(_options: Options, shapes: tuple[Shape, ...]) -> Shape:
    return broadcast(*(aligned(shape, max(map(len, shapes))) for shape in shapes))


def aligned(shape: Shape, rank: int) -> Shape:
    """As Keras' merging layers see an input of fewer axes than another: axes of 1 after the batch."""
    return (*shape[:1], *(1,) * (rank - len(shape)), *shape[1:])


def broadcast(*shapes: Shape) -> Shape:
    """The shape of an element-wise answer, aligned at the last axis. Raises `ModelRefused` where none fits."""
    rank = max(map(len, shapes))
    made: list[int | None] = []
    for place in range(rank):
        sides = {shape[place - rank + len(shape)] for shape in shapes if place - rank + len(shape) >= 0} - {1}
        if len(sides - {None}) > 1:
            raise ModelRefused(f"its inputs' shapes {_listed(shapes)} do not fit each other")
        made.append(next(iter(sides - {None}), None) if sides else 1)
    return tuple(made)


def _listed(shapes: tuple[Shape, ...]) -> str:
    return " and ".join(str(shape) for shape in shapes[:4])


def joined(index: int, shapes: tuple[Shape, ...]) -> Shape:
    """The shape of inputs put one after another along an axis."""
    rank = len(shapes[0])
    place = position(index, rank)
    if place == 0 or any(len(shape) != rank for shape in shapes):
        raise ModelRefused(f"its inputs' shapes {_listed(shapes)} cannot be joined along axis {index}")
    rest = broadcast(*((*shape[:place], *shape[place + 1 :]) for shape in shapes))
    if any((*shape[:place], *shape[place + 1 :]) != rest for shape in shapes if None not in shape[1:]):
        raise ModelRefused(f"its inputs' shapes {_listed(shapes)} cannot be joined along axis {index}")
    sides = [shape[place] for shape in shapes]
    total = None if None in sides else sum(known(side, "size") for side in sides)
    return (*rest[:place], total, *rest[place:])


def _dot(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    first, second = shapes
    one, two = dot_axes(options, shapes)
    if first[one] != second[two]:
        raise ModelRefused(f"its inputs' shapes {_listed(shapes)} do not fit each other")
    left = [side for place, side in enumerate(first) if place not in (0, one)]
    right = [side for place, side in enumerate(second) if place not in (0, two)]
    return (None, *left, *right) if left or right else (None, 1)


def dot_axes(options: Options, shapes: tuple[Shape, ...]) -> tuple[int, int]:
    """The axis of either input along which the two are multiplied and summed."""
    given = options["axes"] * 2 if len(options["axes"]) == 1 else options["axes"]
    if len(given) != 2 or not all(2 <= len(shape) <= 3 for shape in shapes):
        raise ModelRefused("it takes two inputs of two or three axes, and one axis of each")
    one, two = (position(index, len(shape)) for index, shape in zip(given, shapes, strict=True))
    if 0 in (one, two):
        raise ModelRefused("it multiplies across the batch")
    return one, two


def _einsum_parts(options: Options, given: Shape) -> tuple[str, str, str, dict[str, int | None]]:
    """The letters of input, kernel and output, and each letter's size where it is known."""
    equation = options["equation"].replace(" ", "")
    try:
        sides, output = equation.split("->")
        input_, kernel = sides.split(",")
    except ValueError:
        raise ModelRefused(f"its equation {equation[:40]!r} is not of the form 'ab,bc->ac'") from None
    if input_.startswith("...") and output.startswith("..."):
        spare = [letter for letter in "zyxwvu" if letter not in equation]
        letters = "".join(spare[: len(given) - len(input_) + 3])
        input_, output = letters + input_[3:], letters + output[3:]
    if not (input_ + kernel + output).isalpha() or len(input_) != len(given) or not set(output) <= set(input_ + kernel):
        raise ModelRefused(f"its equation {equation[:40]!r} does not fit an input of {len(given)} axes")
    return input_, kernel, output, dict(zip(input_, given, strict=True))


def einsum_equation(options: Options, given: Shape) -> tuple[str, str, str]:
    """The letters of an EinsumDense's input, kernel and output, without dots."""
    return _einsum_parts(options, given)[:3]


def _einsum_shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    _input, _kernel, output, known_sizes = _einsum_parts(options, shapes[0])
    said = options["output_shape"]
    for letter, size in zip(output[len(output) - len(said) :], said, strict=False):
        if size not in (None, -1) and known_sizes.get(letter) is None:
            known_sizes[letter] = size
    return (None, *(known_sizes.get(letter) for letter in output[1:]))


def _einsum_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    _input, kernel, output, sizes_ = _einsum_parts(options, shapes[0])
    made = dict(zip(output, _einsum_shape(options, shapes), strict=True))
    weights: WeightShapes = {
        "kernel": tuple(known(sizes_.get(letter) or made.get(letter), f"size along {letter}") for letter in kernel)
    }
    if options["bias_axes"]:
        letters = options["bias_axes"]
        if not set(letters) <= set(output):
            raise ModelRefused(f"its bias_axes {letters[:20]!r} are not in its output {output!r}")
        first = min(output.index(letter) for letter in letters)
        weights["bias"] = tuple(known(made[letter], "size") if letter in letters else 1 for letter in output[first:])
    return weights


def _attention_shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    if any(len(shape) != 3 for shape in shapes):
        raise ModelRefused("it takes sequences of shape (batch, length, features)")
    size = options["output_shape"]
    return (*shapes[0][:2], size[0] if size else shapes[0][2])


def _attention_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    heads, key_size = options["num_heads"], options["key_dim"]
    value_size = options["value_dim"] or key_size
    query, value = shapes[0], shapes[1]
    key = shapes[2] if len(shapes) > 2 else value
    made: WeightShapes = {}
    for name, given, size in (("query", query, key_size), ("key", key, key_size), ("value", value, value_size)):
        made[f"{name}/kernel"] = (known(given[2], "number of features"), heads, size)
        if options["use_bias"]:
            made[f"{name}/bias"] = (heads, size)
    out = known(_attention_shape(options, shapes)[2], "number of features")
    made["attention_output/kernel"] = (heads, value_size, out)
    if options["use_bias"]:
        made["attention_output/bias"] = (out,)
    return made


_UNCHANGED = Kind({}, same_shape)
_DROPOUT = Kind({"rate": Option(number, 0.5)}, same_shape)
_MERGE = Kind({}, _merged, inputs=(2, 1000))
_SIZE = {"height": Option(integer), "width": Option(integer), "data_format": _DATA_FORMAT}
_AXES = Option(axes, (-1,))

LAYERS: dict[str, Kind] = {
    "Activation": Kind({"activation": Option(activation)}, same_shape),
    "Add": _MERGE,
    "AlphaDropout": _DROPOUT,
    "Average": _MERGE,
    "AveragePooling1D": _pooling(3),
    "AveragePooling2D": _pooling(4),
    "BatchNormalization": Kind(
        {"axis": Option(axis, -1), "epsilon": _EPSILON, **_CENTER_SCALE}, _on_axis, _batch_norm_weights
    ),
    "CenterCrop": Kind(_SIZE, _to_size),
    "Concatenate": Kind(
        {"axis": Option(axis, -1)}, lambda options, shapes: joined(options["axis"], shapes), inputs=(1, 1000)
    ),
    "Conv1D": _convolution(3),
    "Conv2D": _convolution(4),
    "Conv2DTranspose": _transposed_convolution(),
    "Cropping1D": _margins_of(3, "cropping", -1, 1),
    "Cropping2D": _margins_of(4, "cropping", -1, 0),
    "Dense": Kind(
        {"units": Option(integer), "activation": _ACTIVATION, "use_bias": _BIAS}, _dense_shape, _dense_weights
    ),
    "DepthwiseConv1D": _depthwise_convolution(3),
    "DepthwiseConv2D": _depthwise_convolution(4),
    "Dot": Kind({"axes": Option(axes), "normalize": Option(flag, False)}, _dot, inputs=(2, 2)),
    "Dropout": _DROPOUT,
    "ELU": Kind({"alpha": Option(number, 1.0)}, same_shape),
    "EinsumDense": Kind(
        {
            "equation": Option(text),
            "output_shape": Option(dimensions),
            "activation": _ACTIVATION,
            "bias_axes": Option(optional(text), None),
        },
        _einsum_shape,
        _einsum_weights,
    ),
    "Flatten": Kind({"data_format": _DATA_FORMAT}, _flattened),
    "GaussianDropout": _DROPOUT,
    "GlobalAveragePooling1D": _global_pooling(3),
    "GlobalAveragePooling2D": _global_pooling(4),
    "GlobalMaxPooling1D": _global_pooling(3),
    "GlobalMaxPooling2D": _global_pooling(4),
    "GroupNormalization": Kind(
        {
            "groups": Option(lambda value: -1 if value == -1 else integer(value), 32),
            "axis": Option(axis, -1),
            "epsilon": _EPSILON,
            **_CENTER_SCALE,
        },
        _on_axis,
        _group_norm_weights,
    ),
    "Identity": _UNCHANGED,
    "LayerNormalization": Kind(
        {"axis": _AXES, "epsilon": _EPSILON, **_CENTER_SCALE, "rms_scaling": Option(flag, False)},
        _on_axes,
        _layer_norm_weights,
    ),
    "LayerScale": Kind(
        {"init_values": Option(number, 1e-6), "projection_dim": Option(integer)},
        same_shape,
        lambda options, _shapes: {"gamma": (options["projection_dim"],)},
    ),
    "LeakyReLU": Kind({"negative_slope": Option(number, 0.3)}, same_shape),
    "MaxPooling1D": _pooling(3),
    "MaxPooling2D": _pooling(4),
    "Maximum": _MERGE,
    "Minimum": _MERGE,
    "MultiHeadAttention": Kind(
        {
            "num_heads": Option(integer),
            "key_dim": Option(integer),
            "value_dim": Option(optional(integer), None),
            "dropout": Option(number, 0.0),
            "use_bias": _BIAS,
            "output_shape": Option(optional(dimensions), None),
        },
        _attention_shape,
        _attention_weights,
        inputs=(2, 3),
    ),
    "Multiply": _MERGE,
    "Normalization": Kind(
        {
            "axis": Option(optional(axes), (-1,)),
            "mean": Option(optional(numbers), None),
            "variance": Option(optional(numbers), None),
            "invert": Option(flag, False),
        },
        same_shape,
        _normalization_weights,
    ),
    "PReLU": Kind({"shared_axes": Option(optional(axes), None)}, same_shape, _prelu_weights),
    "Permute": Kind({"dims": Option(dimensions)}, _permuted),
    "RMSNormalization": Kind({"axis": _AXES, "epsilon": Option(number, 1e-6)}, _on_axes, _rms_weights),
    "ReLU": Kind(
        {
            "max_value": Option(optional(number), None),
            "negative_slope": Option(lambda value: number(value or 0), 0.0),
            "threshold": Option(lambda value: number(value or 0), 0.0),
        },
        same_shape,
    ),
    "RepeatVector": Kind({"n": Option(integer)}, _repeated),
    "Rescaling": Kind({"scale": Option(numbers), "offset": Option(numbers, 0.0)}, same_shape),
    "Reshape": Kind({"target_shape": Option(dimensions)}, _reshaped),
    "Resizing": Kind(
        {
            **_SIZE,
            "interpolation": Option(choice("bilinear", "nearest", "bicubic"), "bilinear"),
            "crop_to_aspect_ratio": Option(flag, False),
        },
        _to_size,
    ),
    "SeparableConv1D": _separable_convolution(3),
    "SeparableConv2D": _separable_convolution(4),
    "Softmax": Kind({"axis": _AXES}, _on_axes),
    "SpatialDropout1D": _DROPOUT,
    "SpatialDropout2D": _DROPOUT,
    "Subtract": Kind({}, _merged, inputs=(2, 2)),
    "UnitNormalization": Kind({"axis": _AXES}, _on_axes),
    "UpSampling1D": _upsampling(3),
    "UpSampling2D": _upsampling(4),
    "ZeroPadding1D": _margins_of(3, "padding", 1, 1),
    "ZeroPadding2D": _margins_of(4, "padding", 1, 1),
}
"""What is read, compiled and written. None of them runs code from a file or opens another one."""

AT_REST = frozenset(
    """
    ActivityRegularization GaussianNoise RandomBrightness RandomContrast RandomFlip RandomHeight RandomRotation
    RandomTranslation RandomWidth RandomZoom
    """.split()
)
"""Layers that do something while a network trains, and nothing when it answers: read as `Identity`."""
