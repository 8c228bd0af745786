"""Reads the options of layers from JSON: each reader gives the value in its right type, or refuses it in words."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from foodscene.models.graph.graph import ModelRefused

Reader: TypeAlias = Callable[[Any], Any]

_LARGEST = 2**20

ACTIVATIONS = frozenset(
    """
    celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sigmoid log_softmax
    mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid squareplus tanh
    tanh_shrink
    """.split()
)
"""Keras' activations by name, each with the defaults of its parameters."""
_ACTIVATION_NAMES = {"swish": "silu", "hard_swish": "hard_silu", "exp": "exponential", None: "linear"}


class Option(NamedTuple):
    """An option of a layer: how it is read, and what holds where a file does not say; ... where it must."""

    read: Reader
    default: Any = ...


def read_options(options: Mapping[str, Option], config: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a layer: what its configuration says, else the default. Raises `ModelRefused`."""
    values = {}
    for name, option in options.items():
        value = config.get(name, option.default)
        if value is ...:
            raise ModelRefused(f"its option {name} is missing")
        try:
            values[name] = option.read(value) if value is not option.default else value
        except ModelRefused as error:
            raise ModelRefused(f"its option {name} {error}") from None
    return values


def integer(value: Any, lowest: int = 1) -> int:
    """A whole number of a sensible size; JavaScript and YAML write some of them as 3.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= _LARGEST:
        raise ModelRefused(f"is {_short(value)}, not a whole number from {lowest} to {_LARGEST:,}")
    return value


def axis(value: Any) -> int:
    """A position among the axes, negative from the end."""
    if isinstance(value, list | tuple) and len(value) == 1:  # as tf.keras 1.13 to 2.15 write a BatchNormalization's
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int) or not -8 <= value <= 8:
        raise ModelRefused(f"is {_short(value)}, not the position of an axis")
    return value


def axes(value: Any) -> tuple[int, ...]:
    """One or several axes."""
    return tuple(axis(item) for item in value) if isinstance(value, list | tuple) else (axis(value),)


def number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelRefused(f"is {_short(value)}, not a finite number")
    return float(value)


def numbers(value: Any) -> float | tuple[Any, ...]:
    """A number, or (nested) lists of them, of at most 65,536 in all."""
    if isinstance(value, list | tuple):
        if len(value) > 65_536:
            raise ModelRefused("has more than 65,536 numbers")
        return tuple(numbers(item) for item in value)
    return number(value)


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool) and value not in (0, 1):
        raise ModelRefused(f"is {_short(value)}, not true or false")
    return bool(value)


def text(value: Any) -> str:
    """A short text."""
    if not isinstance(value, str) or len(value) > 200:
        raise ModelRefused(f"is {_short(value)}, not a short text")
    return value


def choice(*allowed: str) -> Reader:
    """One of some words."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value.lower() not in allowed:
            raise ModelRefused(f"is {_short(value)}, not one of {', '.join(allowed)}")
        return value.lower()

    return read


def optional(reader: Reader) -> Reader:
    """What `reader` reads, or None."""
    return lambda value: None if value is None else reader(value)


def sizes(dimensions: int, lowest: int = 1) -> Reader:
    """A whole number for each spatial dimension, or one for all."""

    def read(value: Any) -> tuple[int, ...]:
        if isinstance(value, list | tuple):
            if len(value) != dimensions:
                raise ModelRefused(f"is {_short(value)}, not {dimensions} whole numbers")
            return tuple(integer(item, lowest) for item in value)
        return (integer(value, lowest),) * dimensions

    return read


def margins(dimensions: int) -> Reader:
    """What is added or cut (before, after) in each spatial dimension."""
    each = sizes(2, lowest=0)

    def read(value: Any) -> tuple[tuple[int, int], ...]:
        if isinstance(value, list | tuple):
            if dimensions == 1 and len(value) == 2 and not isinstance(value[0], list | tuple):
                value = [value]
            if len(value) != dimensions:
                raise ModelRefused(f"is {_short(value)}, not {dimensions} margins")
            return tuple(each(item) for item in value)
        return (each(value),) * dimensions

    return read


def dimensions(value: Any) -> tuple[int, ...]:
    """A shape, -1 for what follows from the others."""
    if isinstance(value, int):
        value = [value]
    if not isinstance(value, list | tuple) or len(value) > 8:
        raise ModelRefused(f"is {_short(value)}, not a shape")
    return tuple(-1 if item in (-1, None) else integer(item) for item in value)


def activation(value: Any) -> str:
    """The name of one of Keras' activations."""
    if isinstance(value, dict):  # Keras 3 writes functions that it does not count to its own as objects
        if value.get("class_name") != "function" or not isinstance(value.get("config"), str):
            raise ModelRefused(f"is {_short(value.get('class_name'))}, not one of Keras' activations")
        name = str(value["config"])
        if name not in ACTIVATIONS and name not in _ACTIVATION_NAMES:
            raise ModelRefused(f"is the function {_short(name)}, not one of Keras' activations")
        value = name
    if value is None or isinstance(value, str):
        value = _ACTIVATION_NAMES.get(value, value)
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise ModelRefused(f"is {_short(value)}, not one of Keras' activations")
    return value


def _short(value: Any) -> str:
    told = repr(value)
    return told if len(told) <= 80 else f"{told[:77]}…"
