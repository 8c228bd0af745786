"""What is known of a class of layers, and what several of them share: axes, sizes, options."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from foodscene.models.graph.graph import ModelRefused, Shape, in_words
from foodscene.models.graph.options import (
    Option,
    activation,
    choice,
    flag,
    number,
)

Options: TypeAlias = Mapping[str, Any]


WeightShapes: TypeAlias = dict[str, tuple[int, ...]]


ShapeRule: TypeAlias = Callable[[Options, tuple[Shape, ...]], Shape]


WeightRule: TypeAlias = Callable[[Options, tuple[Shape, ...]], WeightShapes]


class LayerKind(NamedTuple):
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


def of_rank(shapes: tuple[Shape, ...], rank: int) -> Shape:
    """The first input's shape. Raises `ModelRefused` unless it has so many axes."""
    if len(shapes[0]) != rank:
        raise ModelRefused(f"it takes an input of {rank} axes, batch included, not {len(shapes[0])}")
    return shapes[0]


def positive(size: int) -> int:
    """A size that is left. Raises `ModelRefused` where none is."""
    if size < 1:
        raise ModelRefused("nothing is left of its input: it is smaller than the window or the crop")
    return size


def product(sizes_: tuple[int | None, ...]) -> int | None:
    """How many values axes have together; None where one is open."""
    return None if None in sizes_ else math.prod(size for size in sizes_ if size is not None)


def mapped(options: Options, sizes_: list[int | None], channels: int | None) -> Shape:
    """A shape of new spatial sizes and channels."""
    if options["data_format"] == "channels_first":
        return (None, channels, *sizes_)
    return (None, *sizes_, channels)


DATA_FORMAT = Option(choice("channels_last", "channels_first"), "channels_last")


ACTIVATION = Option(activation, "linear")


BIAS = Option(flag, True)


EPSILON = Option(number, 1e-3)


def on_axis(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    """The answer has the first input's shape, in which the option `axis` exists."""
    position(options["axis"], len(shapes[0]))
    return shapes[0]


def on_axes(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    """As `on_axis`, of several."""
    for index in options["axis"]:
        position(index, len(shapes[0]))
    return shapes[0]


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
            raise ModelRefused(f"its inputs' shapes {listed(shapes)} do not fit each other")
        made.append(next(iter(sides - {None}), None) if sides else 1)
    return tuple(made)


def listed(shapes: tuple[Shape, ...]) -> str:
    """Shapes in a sentence."""
    return " and ".join(in_words(shape) for shape in shapes[:4])
