"""A model's configuration, taken apart: networks, their layers, and who is called on whom. Reads JSON only."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from foodscene.models.graph.dialects import refuse_foreign
from foodscene.models.graph.graph import Array, ModelRefused
from foodscene.models.graph.operation_names import is_operation

_MODELS = frozenset({"Functional", "Model", "Sequential"})
_MOST_LAYERS = 5_000
_DEEPEST = 8


class Reference(NamedTuple):
    """The answer of a layer's call: the layer's name, which of its calls, and which of that call's answers."""

    layer: str
    call: int
    output: int


class Call(NamedTuple):
    """What a layer is called with: positional arguments and named ones; `Reference`s, constants, or lists of them."""

    positional: tuple[Any, ...]
    named: Mapping[str, Any]

    @property
    def references(self) -> list[Reference]:
        """All layers' answers among the arguments, in order."""
        return [*_references(self.positional), *_references(tuple(self.named.values()))]


class Entry(NamedTuple):
    """A layer, an operation or a network as it stands in a configuration."""

    name: str
    class_name: str
    config: Mapping[str, Any]
    calls: tuple[Call, ...]
    network: "Network | None"
    operation: bool


class Network(NamedTuple):
    """A model. One after the other where `outputs` is empty (Sequential), else as the calls say."""

    name: str
    entries: dict[str, Entry]
    inputs: tuple[Reference, ...]
    outputs: tuple[Reference, ...]
    given_shape: Any
    """The input's shape where only the model itself says it."""


def parse(text: str) -> Network:
    """The network that a configuration describes. Raises `ModelRefused`, with the reason."""
    try:
        model = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"its model_config is not JSON, or nested too deeply: {str(error)[:80]}") from error
    if not isinstance(model, dict):
        raise ModelRefused("its model_config is no object")
    counter = [0]
    network = _network(model, counter, 0)
    if counter[0] == 0:
        raise ModelRefused("it has no layers")
    return network


def _network(model: Mapping[str, Any], counter: list[int], depth: int) -> Network:
    refuse_foreign(model)
    class_name = model.get("class_name")
    if class_name not in _MODELS:
        raise ModelRefused(
            f"The model is a {str(class_name)[:80]!r}; foodscene reads Sequential and Functional models. "
            "One of a class of its own must be rebuilt as one of these."
        )
    if depth > _DEEPEST:
        raise ModelRefused(f"it nests models more than {_DEEPEST} deep")
    config = model.get("config")
    if class_name == "Sequential" and isinstance(config, list):  # Keras 1
        config = {"layers": config}
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        raise ModelRefused("it has no layers")
    if len(config["layers"]) > _MOST_LAYERS:
        raise ModelRefused(f"it has more than {_MOST_LAYERS:,} layers")
    entries: dict[str, Entry] = {}
    names = {_name(layer) for layer in config["layers"]}
    for layer in config["layers"]:
        entry = _entry(layer, names, counter, depth)
        if entry.name in entries:
            raise ModelRefused(f"two of its layers are called {entry.name[:80]!r}")
        entries[entry.name] = entry
    inputs: tuple[Reference, ...] = ()
    outputs: tuple[Reference, ...] = ()
    if class_name != "Sequential":
        inputs, outputs = (_ends(config.get(key), names) for key in ("input_layers", "output_layers"))
        if not inputs or not outputs:
            raise ModelRefused("its configuration names no input or no output")
    given = config.get("build_input_shape") or config.get("batch_input_shape")
    return Network(_name(model), entries, inputs, outputs, given)


def _entry(layer: Any, names: set[str], counter: list[int], depth: int) -> Entry:
    if not isinstance(layer, dict) or not isinstance(layer.get("class_name"), str):
        raise ModelRefused(f"one of its layers is no layer: {str(layer)[:80]}")
    refuse_foreign(layer)
    counter[0] += 1
    if counter[0] > _MOST_LAYERS:
        raise ModelRefused(f"it has more than {_MOST_LAYERS:,} layers")
    class_name, config = layer["class_name"], layer.get("config")
    network = None
    if class_name in _MODELS:
        network = _network(layer, counter, depth + 1)
        config = {}
    if not isinstance(config, dict):
        raise ModelRefused(f"The layer {class_name[:80]!r} has no configuration.")
    inbound = layer.get("inbound_nodes") or []
    if not isinstance(inbound, list):
        raise ModelRefused(f"The calls of the layer {class_name[:80]!r} are no list.")
    calls = tuple(_call(call, names) for call in inbound)
    arguments = max((len(call.positional) + ("x2" in call.named) for call in calls), default=0)
    operation = network is None and is_operation(class_name, config, str(layer.get("module") or ""), arguments)
    return Entry(_name(layer), class_name, config, calls, network, operation)


def _name(layer: Any) -> str:
    """A layer's name: in its configuration, or beside it."""
    if not isinstance(layer, dict):
        return ""
    config = layer.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    name = layer.get("name") if name is None else name
    name = f"{str(layer.get('class_name')).lower()}" if name is None else name
    if not isinstance(name, str) or len(name) > 500:
        raise ModelRefused(f"one of its layers is called {str(name)[:80]!r}")
    return name


def _call(call: Any, names: set[str]) -> Call:
    if isinstance(call, dict):  # Keras 3
        positional, named = call.get("args"), call.get("kwargs")
        if not isinstance(positional, list) or not isinstance(named, dict):
            raise ModelRefused("one of its calls has no arguments")
        return Call(
            tuple(_argument(item, names, 0) for item in positional),
            {str(name): _argument(item, names, 0) for name, item in named.items()},
        )
    if not isinstance(call, list) or not call:
        raise ModelRefused("one of its calls has no arguments")
    flat = isinstance(call[0], str)
    given = [_legacy(item, names) for item in ([call] if flat else call)]
    first = given[0][0] if len(given) == 1 else [item for item, _ in given]
    return Call((first,), given[0][1])


def _legacy(item: Any, names: set[str]) -> tuple[Any, Mapping[str, Any]]:
    """An input of Keras 1 and 2, ``[layer, call, output, further arguments]``, or a constant in its place."""
    if not isinstance(item, list) or len(item) not in (3, 4):
        raise ModelRefused("one of its calls names no layer")
    further = item[3] if len(item) == 4 else {}
    if not isinstance(further, dict):
        raise ModelRefused("one of its calls has arguments without names")
    named = {str(name): _argument(value, names, 0) for name, value in further.items()}
    if item[0] == "_CONSTANT_VALUE":
        return _argument(item[2], names, 0), named
    return _reference(item[:3], names), named


def _reference(item: list[Any], names: set[str]) -> Reference:
    name, call, output = item
    if (
        not isinstance(name, str)
        or any(isinstance(number, bool) or not isinstance(number, int) for number in (call, output))
        or not 0 <= call <= _MOST_LAYERS
        or output < 0
    ):
        raise ModelRefused("one of its calls names no layer")
    if name not in names:
        raise ModelRefused(f"one of its calls names the layer {name[:80]!r}, which is not there")
    return Reference(name, call, output)


def _argument(value: Any, names: set[str], depth: int) -> Any:
    """An argument with its references and arrays found; all else stays as it is in JSON."""
    if depth > _DEEPEST:
        raise ModelRefused("one of its calls has arguments that are nested too deeply")
    if isinstance(value, list):
        if len(value) == 3 and isinstance(value[0], str) and value[0] in names and isinstance(value[1], int):
            return _reference(value, names)
        return [_argument(item, names, depth + 1) for item in value]
    if isinstance(value, dict) and "class_name" in value:
        config = value.get("config")
        if value["class_name"] == "__keras_tensor__":
            history = config.get("keras_history") if isinstance(config, dict) else None
            if not isinstance(history, list) or len(history) != 3:
                raise ModelRefused("one of its calls names no layer")
            return _reference(history, names)
        if value["class_name"] in ("__numpy__", "__tensor__") and isinstance(config, dict):
            return constant(config.get("value"))
        if value["class_name"] == "__tuple__" and isinstance(value.get("items"), list):
            return [_argument(item, names, depth + 1) for item in value["items"]]
    return value


def constant(value: Any) -> Array:
    """Numbers in a configuration as an array, float32. Raises `ModelRefused` for anything else."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelRefused(f"it has an argument that is no numbers: {str(value)[:60]}") from error
    if not np.all(np.isfinite(array)) or array.ndim > 6:
        raise ModelRefused("it has an argument with numbers that are not finite")
    return array.astype(np.float32)


def _references(value: Any) -> list[Reference]:
    if isinstance(value, Reference):
        return [value]
    if isinstance(value, list | tuple):
        return [reference for item in value for reference in _references(item)]
    return []


def _ends(value: Any, names: set[str]) -> tuple[Reference, ...]:
    """The inputs or outputs of a functional model: one flat reference, or a list of them."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        value = [value]
    if not isinstance(value, list) or any(not isinstance(item, list) or len(item) != 3 for item in value):
        raise ModelRefused("its inputs and outputs are no list of layers")
    return tuple(_reference(item, names) for item in value)
