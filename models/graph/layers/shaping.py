"""Layers that arrange values anew, put several together, or leave them as they are."""

import math

from foodscene.models.graph.graph import ModelRefused, Shape, in_words
from foodscene.models.graph.layers.kind import (
    DATA_FORMAT,
    LayerKind,
    Options,
    aligned,
    broadcast,
    known,
    listed,
    of_rank,
    position,
    product,
    same_shape,
)
from foodscene.models.graph.options import (
    Option,
    axis,
    dimensions,
    integer,
    number,
)


def _flattened(_options: Options, shapes: tuple[Shape, ...]) -> Shape:
    return (None, product(shapes[0][1:]) if len(shapes[0]) > 1 else 1)


def _reshaped(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    return (None, *fitted(options["target_shape"], shapes[0][1:]))


def fitted(target: tuple[int, ...], given: tuple[int | None, ...]) -> Shape:
    """A target shape with its one -1 worked out. Raises `ModelRefused` where it does not hold as many values."""
    if target.count(-1) > 1:
        raise ModelRefused(f"its shape {in_words(target)} leaves more than one side open")
    values = product(given)
    if values is None:
        return tuple(None if size == -1 else size for size in target)
    rest = math.prod(size for size in target if size != -1)
    if (values % rest if -1 in target else values != rest) or rest == 0:
        raise ModelRefused(f"the shape {in_words(target)} does not hold the {values} values of its input")
    return tuple(values // rest if size == -1 else size for size in target)


def _permuted(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    if sorted(options["dims"]) != list(range(1, len(shapes[0]))):
        order = ", ".join(map(str, options["dims"]))
        raise ModelRefused(f"its order {order} does not fit an input of {len(shapes[0])} axes")
    return (None, *(shapes[0][place] for place in options["dims"]))


def _repeated(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    return (None, options["n"], of_rank(shapes, 2)[1])


def _merged(_options: Options, shapes: tuple[Shape, ...]) -> Shape:
    return broadcast(*(aligned(shape, max(map(len, shapes))) for shape in shapes))


def joined(index: int, shapes: tuple[Shape, ...]) -> Shape:
    """The shape of inputs put one after another along an axis."""
    rank = len(shapes[0])
    place = position(index, rank)
    if place == 0 or any(len(shape) != rank for shape in shapes):
        raise ModelRefused(f"its inputs' shapes {listed(shapes)} cannot be joined along axis {index}")
    rest = broadcast(*((*shape[:place], *shape[place + 1 :]) for shape in shapes))
    if any((*shape[:place], *shape[place + 1 :]) != rest for shape in shapes if None not in shape[1:]):
        raise ModelRefused(f"its inputs' shapes {listed(shapes)} cannot be joined along axis {index}")
    sides = [shape[place] for shape in shapes]
    total = None if None in sides else sum(known(side, "size") for side in sides)
    return (*rest[:place], total, *rest[place:])


_UNCHANGED = LayerKind({}, same_shape)


_DROPOUT = LayerKind({"rate": Option(number, 0.5)}, same_shape)


_MERGE = LayerKind({}, _merged, inputs=(2, 1000))


SHAPING: dict[str, LayerKind] = {
    "Add": _MERGE,
    "AlphaDropout": _DROPOUT,
    "Average": _MERGE,
    "Concatenate": LayerKind(
        {"axis": Option(axis, -1)}, lambda options, shapes: joined(options["axis"], shapes), inputs=(1, 1000)
    ),
    "Dropout": _DROPOUT,
    "Flatten": LayerKind({"data_format": DATA_FORMAT}, _flattened),
    "GaussianDropout": _DROPOUT,
    "Identity": _UNCHANGED,
    "Maximum": _MERGE,
    "Minimum": _MERGE,
    "Multiply": _MERGE,
    "Permute": LayerKind({"dims": Option(dimensions)}, _permuted),
    "RepeatVector": LayerKind({"n": Option(integer)}, _repeated),
    "Reshape": LayerKind({"target_shape": Option(dimensions)}, _reshaped),
    "SpatialDropout1D": _DROPOUT,
    "SpatialDropout2D": _DROPOUT,
    "Subtract": LayerKind({}, _merged, inputs=(2, 2)),
}
