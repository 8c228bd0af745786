"""Writes a graph with its weights as an `.h5` that Keras loads, by h5py alone.

The layers are written in the words that Keras 2.13 to 3 share, as one Functional model: what only the newest Keras
knows is left out where it says the default. Nested models are written flat, `outer_inner`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from foodscene.models.graph.graph import Array, Graph, Layer, Node
from foodscene.models.graph.layers import LAYERS
from foodscene.models.graph.operation_names import KERAS_CLASSES
from foodscene.models.graph.operations import OPERATIONS, whole_index

_VERSION = "3.0.0"
_LATE = frozenset({"invert", "keepdims", "rms_scaling", "crop_to_aspect_ratio", "groups"})
"""Options that came after Keras 2.4; left out where they hold their default."""

_MARGINS = ("cropping", "padding")

_CLASSES = {name: keras for keras, name in reversed(KERAS_CLASSES.items())} | {"divide": "TrueDivide", "max": "Max"}
_KERAS_OPTIONS = {"reshape": {"shape": "newshape"}}
_MODULES = {"cast": "keras.src.ops.core", "rsqrt": "keras.src.ops.math"}
_LONGEST = 60_000
"""Bytes of an attribute that HDF5 keeps in one piece (64 kB)."""


def write(graph: Graph, path: Path) -> None:
    """Write a graph as a whole Keras model. Weights keep their type, float32 or float16.

    Writes the file in place: who must not leave half a file behind writes it under another name first.
    """
    names = _names(graph)
    order = keras_order(graph)
    calls: dict[Layer, list[Node]] = {}
    for node in graph.nodes:
        calls.setdefault(node.layer, []).append(node)
    numbers = {node: nodes.index(node) for nodes in calls.values() for node in nodes}

    def reference(node: Node) -> list[Any]:
        return [names[node.layer], numbers[node], 0]

    layers = [_entry(graph, layer, names[layer], calls[layer], reference) for layer in order]
    config = {
        "class_name": "Functional",
        "config": {
            "name": "model",
            "trainable": True,
            "layers": layers,
            "input_layers": [reference(graph.input)],
            "output_layers": [reference(graph.output)],
        },
    }
    with h5py.File(path, "w") as file:
        file.attrs["backend"] = "tensorflow"
        file.attrs["keras_version"] = _VERSION
        file.attrs["model_config"] = json.dumps(config)
        _write_weights(file.create_group("model_weights"), [layer for layer in order if layer.kind in LAYERS], names)


def keras_order(graph: Graph) -> list[Layer]:
    """The layers in the order in which Keras numbers them, which is how it finds their weights.

    By their distance from the output, then in the order in which a search from the output meets them
    (keras.src.ops.function.map_graph).
    """
    met: dict[Layer, int] = {}
    pending, seen = [graph.output], set()
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        met.setdefault(node.layer, len(met))
        pending += reversed(node.sources)
    depths: dict[Node, int] = {}
    layer_depths: dict[Layer, int] = {}
    for node in reversed(graph.nodes):
        depth = max(depths.get(node, 0), layer_depths.get(node.layer, 0))
        depths[node] = layer_depths[node.layer] = depth
        for source in node.sources:
            depths[source] = max(depth + 1, depths.get(source, 0))
    return sorted(met, key=lambda layer: (-layer_depths[layer], met[layer]))


def _names(graph: Graph) -> dict[Layer, str]:
    """A name for each layer, without the slashes that Keras 3 refuses, each once."""
    names: dict[Layer, str] = {}
    taken: set[str] = set()
    for layer in graph.layers:
        plain = layer.name.replace("/", "_") or "layer"
        name, number = plain, 0
        while name in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name)
        names[layer] = name
    return names


def _entry(graph: Graph, layer: Layer, name: str, calls: list[Node], reference: Any) -> dict[str, Any]:
    """A layer in a configuration."""
    if layer.kind == "InputLayer":
        config: dict[str, Any] = {"batch_input_shape": list(graph.input_shape), "dtype": "float32", "name": name}
        return {"class_name": "InputLayer", "config": config, "name": name, "inbound_nodes": []}
    if layer.kind in OPERATIONS:
        return _operation(graph, layer, name, calls, reference)
    if layer.kind == "LayerScale":  # of keras.applications.ConvNeXt, not among Keras' layers
        factors = [float(factor) for factor in layer.weight("gamma")]
        config, class_name = {"scale": factors, "offset": 0.0}, "Rescaling"
    else:
        config, class_name = _options(layer), layer.kind
    nodes: list[Any] = []
    for node in calls:
        if class_name == "MultiHeadAttention":
            nodes.append({"args": [_tensor(graph, item, reference) for item in node.sources], "kwargs": {}})
        elif class_name == "Concatenate" and len(node.sources) == 1:  # of one input, which Keras takes in a list alone
            nodes.append({"args": [[_tensor(graph, node.sources[0], reference)]], "kwargs": {}})
        else:
            nodes.append([[*reference(source), {}] for source in node.sources])
    entry: dict[str, Any] = {
        "class_name": class_name,
        "config": {"name": name, **config},
        "name": name,
        "inbound_nodes": nodes,
    }
    if isinstance(config.get("axis"), tuple):  # Keras 3 loses several axes where an entry has no module
        entry |= {"module": "keras.layers", "registered_name": None}
    return entry


def _options(layer: Layer) -> dict[str, Any]:
    """The options as Keras takes them; those that newer versions alone know are left out at their default."""
    known = LAYERS[layer.kind].options
    options = {}
    for name, value in layer.options.items():
        if value is None or (name in _LATE and value == known[name].default):
            continue
        single = name in ("axis", "axes", *_MARGINS) and isinstance(value, tuple) and len(value) == 1
        options[name] = value[0] if single else value
    if layer.kind == "EinsumDense":
        options["output_shape"] = [None if size == -1 else size for size in options["output_shape"]]
    if layer.kind == "UpSampling1D":
        options["size"] = options["size"][0]
    if layer.kind in ("Cropping1D", "UpSampling1D", "ZeroPadding1D") and options["data_format"] == "channels_last":
        del options["data_format"]  # which these have not had always, or never
    return options


def _operation(graph: Graph, layer: Layer, name: str, calls: list[Node], reference: Any) -> dict[str, Any]:
    """One of Keras 3's operations, which Keras 2 does not know."""
    renamed = _KERAS_OPTIONS.get(layer.kind, {})
    options = {renamed.get(key, key): value for key, value in layer.options.items()}
    class_name = _CLASSES[layer.kind]
    nodes = []
    for node in calls:
        arguments: list[Any] = [_argument(graph, item, reference) for item in node.inputs]
        if layer.kind in ("concatenate", "stack"):
            arguments = [arguments]
        if layer.kind == "getitem":
            rank = len(graph.shapes[node.sources[0]])
            arguments.append([_index_part(part) for part in whole_index(options["index"], rank)])
        nodes.append({"args": arguments, "kwargs": {}})
    config = {"name": name} | ({} if layer.kind == "getitem" else options)
    return {
        "module": _MODULES.get(layer.kind, "keras.src.ops.numpy"),
        "class_name": class_name,
        "config": config,
        "registered_name": class_name,
        "name": name,
        "inbound_nodes": nodes,
    }


def _index_part(part: Any) -> Any:
    if isinstance(part, tuple):
        return {"class_name": "__slice__", "config": dict(zip(("start", "stop", "step"), part, strict=True))}
    return part


def _tensor(graph: Graph, node: Node, reference: Any) -> dict[str, Any]:
    config = {"shape": list(graph.shapes[node]), "dtype": "float32", "keras_history": reference(node)}
    return {"class_name": "__keras_tensor__", "config": config}


def _argument(graph: Graph, item: Node | Array, reference: Any) -> Any:
    if isinstance(item, Node):
        return _tensor(graph, item, reference)
    if item.ndim == 0:
        return float(item)
    return {"class_name": "__numpy__", "config": {"value": item.tolist(), "dtype": "float32"}}


def _write_weights(group: h5py.Group, layers: list[Layer], names: Mapping[Layer, str]) -> None:
    group.attrs["backend"] = "tensorflow"
    group.attrs["keras_version"] = _VERSION
    _write_names(group, "layer_names", [names[layer] for layer in layers])
    for layer in sorted(layers, key=lambda layer: names[layer]):
        member = group.create_group(names[layer])
        weights = {} if layer.kind == "LayerScale" else layer.weights
        _write_names(member, "weight_names", [f"{names[layer]}/{weight}" for weight in weights])
        for weight, values in weights.items():
            member.create_dataset(f"{names[layer]}/{weight}", data=values)


def _write_names(group: h5py.Group, name: str, values: list[str]) -> None:
    """A list of texts; one that is longer than HDF5 keeps in one piece in parts, as Keras does."""
    array = np.array([value.encode() for value in values]) if values else np.zeros(0, dtype="S1")
    parts = np.array_split(array, -(-array.nbytes // _LONGEST) or 1)
    if len(parts) == 1:
        group.attrs[name] = array
        return
    for number, part in enumerate(parts):
        group.attrs[f"{name}{number}"] = part
