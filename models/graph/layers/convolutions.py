"""Convolutions: plain, depthwise, separable, transposed."""

from foodscene.models.graph.graph import ModelRefused, Shape
from foodscene.models.graph.layers.kind import (
    ACTIVATION,
    BIAS,
    DATA_FORMAT,
    LayerKind,
    Options,
    WeightShapes,
    channel,
    known,
    mapped,
    of_rank,
    positive,
    spatial,
)
from foodscene.models.graph.layers.windows import window_places
from foodscene.models.graph.options import Option, choice, integer, optional, sizes


def _windows(rank: int, window: str, padding: tuple[str, ...] = ("valid", "same")) -> dict[str, Option]:
    each = sizes(rank - 2)
    return {
        window: Option(each),
        "strides": Option(each, (1,) * (rank - 2)),
        "padding": Option(choice(*padding), "valid"),
        "data_format": DATA_FORMAT,
        "dilation_rate": Option(each, (1,) * (rank - 2)),
    }


def _convolved(options: Options, shape: Shape) -> list[int | None]:
    sides = [shape[place] for place in spatial(options, len(shape))]
    return [
        window_places(size, window, stride, dilation, options["padding"])
        for size, window, stride, dilation in zip(
            sides, options["kernel_size"], options["strides"], options["dilation_rate"], strict=True
        )
    ]


def _convolution(rank: int) -> LayerKind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = of_rank(shapes, rank)
        return mapped(options, _convolved(options, given), options["filters"])

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
        "activation": ACTIVATION,
        "use_bias": BIAS,
    }
    return LayerKind(options, shape, weights)


def _depthwise_convolution(rank: int) -> LayerKind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = of_rank(shapes, rank)
        channels = known(given[channel(options, rank)], "number of channels")
        return mapped(options, _convolved(options, given), channels * options["depth_multiplier"])

    def weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
        channels = known(shapes[0][channel(options, rank)], "number of channels")
        multiplier = options["depth_multiplier"]
        kernel = (*options["kernel_size"], channels, multiplier)
        return {"kernel": kernel} | ({"bias": (channels * multiplier,)} if options["use_bias"] else {})

    options = {
        **_windows(rank, "kernel_size"),
        "depth_multiplier": Option(integer, 1),
        "activation": ACTIVATION,
        "use_bias": BIAS,
    }
    return LayerKind(options, shape, weights)


def _separable_convolution(rank: int) -> LayerKind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = of_rank(shapes, rank)
        return mapped(options, _convolved(options, given), options["filters"])

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
        "activation": ACTIVATION,
        "use_bias": BIAS,
    }
    return LayerKind(options, shape, weights)


def transposed_size(size: int, index: int, options: Options) -> int:
    """What a transposed convolution makes of a side: keras.layers.Conv2DTranspose's formula."""
    stride: int = options["strides"][index]
    window: int = (options["kernel_size"][index] - 1) * options["dilation_rate"][index] + 1
    if options["output_padding"] is None:
        return size * stride + (max(window - stride, 0) if options["padding"] == "valid" else 0)
    trimmed = 2 * (window // 2) if options["padding"] == "same" else 0
    return positive((size - 1) * stride + window - trimmed + options["output_padding"][index])


def _transposed_convolution() -> LayerKind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = of_rank(shapes, 4)
        sides = [given[place] for place in spatial(options, 4)]
        if options["output_padding"] and any(
            padding >= stride for padding, stride in zip(options["output_padding"], options["strides"], strict=True)
        ):
            raise ModelRefused("its output_padding is not smaller than its strides")
        made = [None if size is None else transposed_size(size, place, options) for place, size in enumerate(sides)]
        return mapped(options, made, options["filters"])

    def weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
        channels = known(shapes[0][channel(options, 4)], "number of channels")
        kernel = (*options["kernel_size"], options["filters"], channels)
        return {"kernel": kernel} | ({"bias": (options["filters"],)} if options["use_bias"] else {})

    options = {
        "filters": Option(integer),
        **_windows(4, "kernel_size"),
        "output_padding": Option(optional(sizes(2, lowest=0)), None),
        "activation": ACTIVATION,
        "use_bias": BIAS,
    }
    return LayerKind(options, shape, weights)


CONVOLUTIONS: dict[str, LayerKind] = {
    "Conv1D": _convolution(3),
    "Conv2D": _convolution(4),
    "Conv2DTranspose": _transposed_convolution(),
    "DepthwiseConv1D": _depthwise_convolution(3),
    "DepthwiseConv2D": _depthwise_convolution(4),
    "SeparableConv1D": _separable_convolution(3),
    "SeparableConv2D": _separable_convolution(4),
}
