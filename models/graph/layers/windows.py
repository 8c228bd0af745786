"""Poolings, and what cuts, widens or resizes an image."""

from foodscene.models.graph.graph import Shape
from foodscene.models.graph.layers.kind import (
    DATA_FORMAT,
    LayerKind,
    Options,
    channel,
    known,
    mapped,
    of_rank,
    positive,
    spatial,
)
from foodscene.models.graph.options import Option, choice, flag, integer, margins, optional, sizes


def window_places(size: int | None, window: int, stride: int, dilation: int, padding: str) -> int | None:
    """How many places a window takes along an axis."""
    if size is None:
        return None
    if padding != "valid":
        return -(-size // stride)
    return positive((size - (window - 1) * dilation - 1) // stride + 1)


_PADDING = Option(choice("valid", "same"), "valid")


def _pooling(rank: int) -> LayerKind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = of_rank(shapes, rank)
        strides = options["strides"] or options["pool_size"]
        sides = [given[place] for place in spatial(options, rank)]
        made = [
            window_places(size, window, stride, 1, options["padding"])
            for size, window, stride in zip(sides, options["pool_size"], strides, strict=True)
        ]
        return mapped(options, made, given[channel(options, rank)])

    each = sizes(rank - 2)
    options = {
        "pool_size": Option(each, (2,) * (rank - 2)),
        "strides": Option(optional(each), None),
        "padding": _PADDING,
        "data_format": DATA_FORMAT,
    }
    return LayerKind(options, shape)


def _global_pooling(rank: int) -> LayerKind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = of_rank(shapes, rank)
        channels = given[channel(options, rank)]
        if not options["keepdims"]:
            return (None, channels)
        return mapped(options, [1] * (rank - 2), channels)

    return LayerKind({"data_format": DATA_FORMAT, "keepdims": Option(flag, False)}, shape)


def _margins_of(rank: int, name: str, sign: int, default: int) -> LayerKind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = of_rank(shapes, rank)
        made = [
            None if given[place] is None else positive(known(given[place], "size") + sign * (before + after))
            for place, (before, after) in zip(spatial(options, rank), options[name], strict=True)
        ]
        return mapped(options, made, given[channel(options, rank)])

    reader = margins(rank - 2)
    return LayerKind({name: Option(reader, reader(default)), "data_format": DATA_FORMAT}, shape)


def _upsampling(rank: int) -> LayerKind:
    def shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
        given = of_rank(shapes, rank)
        made = [
            None if given[place] is None else known(given[place], "size") * factor
            for place, factor in zip(spatial(options, rank), options["size"], strict=True)
        ]
        return mapped(options, made, given[channel(options, rank)])

    options = {"size": Option(sizes(rank - 2), (2,) * (rank - 2)), "data_format": DATA_FORMAT}
    if rank == 4:
        options["interpolation"] = Option(choice("nearest", "bilinear"), "nearest")
    return LayerKind(options, shape)


def _to_size(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    given = of_rank(shapes, 4)
    made: list[int | None] = [options["height"], options["width"]]
    return mapped(options, made, given[channel(options, 4)])


_SIZE = {"height": Option(integer), "width": Option(integer), "data_format": DATA_FORMAT}


WINDOWS: dict[str, LayerKind] = {
    "AveragePooling1D": _pooling(3),
    "AveragePooling2D": _pooling(4),
    "CenterCrop": LayerKind(_SIZE, _to_size),
    "Cropping1D": _margins_of(3, "cropping", -1, 1),
    "Cropping2D": _margins_of(4, "cropping", -1, 0),
    "GlobalAveragePooling1D": _global_pooling(3),
    "GlobalAveragePooling2D": _global_pooling(4),
    "GlobalMaxPooling1D": _global_pooling(3),
    "GlobalMaxPooling2D": _global_pooling(4),
    "MaxPooling1D": _pooling(3),
    "MaxPooling2D": _pooling(4),
    "Resizing": LayerKind(
        {
            **_SIZE,
            "interpolation": Option(choice("bilinear", "nearest", "bicubic"), "bilinear"),
            "crop_to_aspect_ratio": Option(flag, False),
        },
        _to_size,
    ),
    "UpSampling1D": _upsampling(3),
    "UpSampling2D": _upsampling(4),
    "ZeroPadding1D": _margins_of(3, "padding", 1, 1),
    "ZeroPadding2D": _margins_of(4, "padding", 1, 1),
}
