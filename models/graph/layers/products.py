"""Products with a kernel or of two answers: dense layers, attention."""

from foodscene.models.graph.graph import ModelRefused, Shape
from foodscene.models.graph.layers.kind import (
    ACTIVATION,
    BIAS,
    LayerKind,
    Options,
    WeightShapes,
    known,
    listed,
    position,
)
from foodscene.models.graph.options import Option, axes, dimensions, flag, integer, number, optional, text


def _dense_shape(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    if len(shapes[0]) < 2:
        raise ModelRefused("it takes an input of at least two axes")
    return (*shapes[0][:-1], options["units"])


def _dense_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    units = options["units"]
    kernel = (known(shapes[0][-1], "number of features"), units)
    return {"kernel": kernel} | ({"bias": (units,)} if options["use_bias"] else {})


def _dot(options: Options, shapes: tuple[Shape, ...]) -> Shape:
    first, second = shapes
    one, two = dot_axes(options, shapes)
    if first[one] != second[two]:
        raise ModelRefused(f"its inputs' shapes {listed(shapes)} do not fit each other")
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


PRODUCTS: dict[str, LayerKind] = {
    "Dense": LayerKind(
        {"units": Option(integer), "activation": ACTIVATION, "use_bias": BIAS}, _dense_shape, _dense_weights
    ),
    "Dot": LayerKind({"axes": Option(axes), "normalize": Option(flag, False)}, _dot, inputs=(2, 2)),
    "EinsumDense": LayerKind(
        {
            "equation": Option(text),
            "output_shape": Option(dimensions),
            "activation": ACTIVATION,
            "bias_axes": Option(optional(text), None),
        },
        _einsum_shape,
        _einsum_weights,
    ),
    "MultiHeadAttention": LayerKind(
        {
            "num_heads": Option(integer),
            "key_dim": Option(integer),
            "value_dim": Option(optional(integer), None),
            "dropout": Option(number, 0.0),
            "use_bias": BIAS,
            "output_shape": Option(optional(dimensions), None),
        },
        _attention_shape,
        _attention_weights,
        inputs=(2, 3),
    ),
}
