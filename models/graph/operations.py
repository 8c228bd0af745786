"""Operations between layers: the arithmetic of backbones and of `preprocess_input`, read as data.

Nothing is ever called by a name from a file: `operation_names` says which of these a name stands for.
"""

import math
from collections.abc import Mapping
from typing import Any

from foodscene.models.graph.graph import ModelRefused, Shape, in_words
from foodscene.models.graph.layers.kind import LayerKind, Options, broadcast, known, listed, position, same_shape
from foodscene.models.graph.layers.shaping import fitted, joined
from foodscene.models.graph.options import Option, axis, dimensions, flag, number, optional, text
from foodscene.models.graph.options import axes as read_axes


def _broadcast(_options: Options, shapes: tuple[Shape, ...]) -> Shape:
    """As NumPy does. The batch must stay the batch: an input of fewer axes may only be a constant."""
    made = broadcast(*shapes)
    batches = [shape for shape in shapes if shape and shape[0] is None]
    if any(len(shape) != len(made) for shape in batches):
        raise ModelRefused("its inputs have different numbers of axes")
    return (None, *made[1:])


def _reduced(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    rank = len(shapes[0])
    places = reduced_axes(options, rank)
    return tuple(
        1 if place in places else side
        for place, side in enumerate(shapes[0])
        if options["keepdims"] or place not in places
    )


def reduced_axes(options: Options, rank: int) -> tuple[int, ...]:
    """The axes that a mean, sum or extreme goes over, which cannot be the batch."""
    if options["axis"] is None:
        raise ModelRefused("it goes over all axes, the batch too")
    places = tuple(sorted({position(index, rank) for index in options["axis"]}))
    if 0 in places:
        raise ModelRefused("it goes over the batch")
    return places


def _reshaped(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    target = options["shape"]
    if not target:
        raise ModelRefused("it has no shape")
    if target[0] != -1:
        values = math.prod(known(side, "input") for side in shapes[0][1:])
        if -1 not in target or math.prod(target) != -values:
            raise ModelRefused(f"its shape {in_words(target)} does not keep the batch")
        raise ModelRefused(f"its shape {in_words(target)} moves the batch")
    return (None, *fitted(target[1:], shapes[0][1:]))


def _transposed(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    order = tuple(position(index, len(shapes[0])) for index in options["axes"])
    if sorted(order) != list(range(len(shapes[0]))) or order[0] != 0:
        raise ModelRefused(f"its order of axes {', '.join(map(str, options['axes']))} does not fit, or moves the batch")
    return tuple(shapes[0][place] for place in order)


def _expanded(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    shape = list(shapes[0])
    for index in options["axis"]:
        place = position(index, len(shape) + 1)
        if place == 0:
            raise ModelRefused("it moves the batch")
        shape.insert(place, 1)
    return tuple(shape)


def _stacked(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    place = position(options["axis"], len(shapes[0]) + 1)
    if place == 0:
        raise ModelRefused("it moves the batch")
    if any(shape != shapes[0] for shape in shapes):
        raise ModelRefused(f"its inputs' shapes {listed(shapes)} do not fit each other")
    return (*shapes[0][:place], len(shapes), *shapes[0][place:])


def _squeezed(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    rank = len(shapes[0])
    places = {position(index, rank) for index in options["axis"]}
    if any(place == 0 or shapes[0][place] != 1 for place in places):
        raise ModelRefused(f"it removes axes of {in_words(shapes[0])} that are not 1")
    return tuple(side for place, side in enumerate(shapes[0]) if place not in places)


def read_index(value: Any) -> tuple[Any, ...]:
    """An index such as ``[..., ::-1]``: each part is "...", an int, None (a new axis), or (start, stop, step)."""
    parts = value if isinstance(value, list | tuple) else [value]
    made: list[Any] = []
    for part in parts:
        if isinstance(part, Mapping) and part.get("class_name") == "__ellipsis__":
            made.append("...")
        elif isinstance(part, Mapping):
            bounds = part.get("config", part) if part.get("class_name") == "__slice__" else part
            if not isinstance(bounds, Mapping) or not set(bounds) <= {"start", "stop", "step"}:
                raise ModelRefused("is no slice")
            made.append(tuple(_bound(bounds.get(name)) for name in ("start", "stop", "step")))
        elif part == "...":
            made.append("...")
        elif isinstance(part, tuple | list) and len(part) == 3:
            made.append(tuple(_bound(item) for item in part))
        else:
            made.append(None if part is None else _bound(part))
    if made.count("...") > 1 or len(made) > 16:
        raise ModelRefused("is no index")
    return tuple(made)


def _bound(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**31:
        raise ModelRefused("is no slice of whole numbers")
    return value


def whole_index(index: tuple[Any, ...], rank: int) -> list[Any]:
    """An index with its "..." written out, a part for each axis (and new ones, None)."""
    taken = sum(part is not None and part != "..." for part in index)
    if taken > rank:
        raise ModelRefused(f"its index has {taken} parts for {rank} axes")
    everything = [(None, None, None)] * (rank - taken)
    if "..." not in index:
        return [*index, *everything]
    place = index.index("...")
    return [*index[:place], *everything, *index[place + 1 :]]


def _indexed(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    parts = whole_index(options["index"], len(shapes[0]))
    made: list[int | None] = []
    sides = iter(shapes[0])
    for order, part in enumerate(parts):
        if part is None:
            made.append(1)
            if order == 0:
                raise ModelRefused("it moves the batch")
            continue
        side = next(sides)
        if order == 0 and part != (None, None, None):
            raise ModelRefused("it takes a part of the batch")
        if isinstance(part, int):
            if not -known(side, "size") <= part < known(side, "size"):
                raise ModelRefused(f"its index {part} is outside of {side}")
        elif part == (None, None, None):
            made.append(side)
        else:
            if part[2] == 0:
                raise ModelRefused("its step is 0")
            length = len(range(*slice(*part).indices(known(side, "size"))))
            if length == 0:
                raise ModelRefused("nothing is left of its input")
            made.append(length)
    return tuple(made)


def _multiplied(_options: Options, shapes: tuple[Shape, ...]) -> Shape:
    first, second = shapes
    if len(first) < 2 or len(first) != len(second) or first[-1] != second[-2] or first[1:-2] != second[1:-2]:
        raise ModelRefused(f"its inputs' shapes {in_words(first)} and {in_words(second)} do not fit each other")
    return (*first[:-1], second[-1])


def _read_type(value: Any) -> str:
    """The name of a data type; Keras 2 writes TensorFlow's own too."""
    name = text(value.get("config", {}).get("name", "")) if isinstance(value, Mapping) else text(value)
    name = name.removeprefix("tf.")
    if name not in _TYPES:
        raise ModelRefused(f"is {name!r}, not a type of numbers that foodscene knows")
    return name


_TYPES = frozenset("float16 bfloat16 half float32 float64 float double bool int8 int16 int32 int64 uint8".split())


_ONE = LayerKind({}, same_shape)


TWO = LayerKind({}, _broadcast, inputs=(2, 2))


_REDUCTION = LayerKind({"axis": Option(optional(read_axes), None), "keepdims": Option(flag, False)}, _reduced)


OPERATIONS: dict[str, LayerKind] = {
    **dict.fromkeys(
        "add subtract multiply divide power maximum minimum greater greater_equal less less_equal equal".split(), TWO
    ),
    **dict.fromkeys(
        "negative absolute sqrt rsqrt square exp log sign arctan floor ceil round reciprocal sin cos".split(), _ONE
    ),
    **dict.fromkeys(("mean", "sum", "max", "min"), _REDUCTION),
    "cast": LayerKind({"dtype": Option(_read_type)}, same_shape),
    "clip": LayerKind({"x_min": Option(number), "x_max": Option(number)}, same_shape),
    "concatenate": LayerKind(
        {"axis": Option(axis, -1)}, lambda options, shapes: joined(options["axis"], shapes), inputs=(1, 1000)
    ),
    "expand_dims": LayerKind({"axis": Option(read_axes)}, _expanded),
    "getitem": LayerKind({"index": Option(read_index)}, _indexed),
    "matmul": LayerKind({}, _multiplied, inputs=(2, 2)),
    "reshape": LayerKind({"shape": Option(dimensions)}, _reshaped),
    "stack": LayerKind({"axis": Option(axis, 0)}, _stacked, inputs=(1, 1000)),
    "squeeze": LayerKind({"axis": Option(read_axes)}, _squeezed),
    "transpose": LayerKind({"axes": Option(read_axes)}, _transposed),
    "where": LayerKind({}, _broadcast, inputs=(3, 3)),
}
"""Operations by foodscene's names, which are those of `keras.ops` in lower case."""


ARGUMENTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((name for name, kind in OPERATIONS.items() if kind is TWO), ("x", "y")),
    **dict.fromkeys((name for name, kind in OPERATIONS.items() if kind is _REDUCTION), ("x", "axis", "keepdims")),
    "cast": ("x", "dtype"),
    "clip": ("x", "x_min", "x_max"),
    "concatenate": ("x", "axis"),
    "expand_dims": ("x", "axis"),
    "getitem": ("x", "index"),
    "matmul": ("x", "y"),
    "reshape": ("x", "shape"),
    "stack": ("x", "axis"),
    "squeeze": ("x", "axis"),
    "transpose": ("x", "axes"),
    "where": ("condition", "x", "y"),
}
"""The arguments of an operation in their order; of the others it is ("x",)."""
