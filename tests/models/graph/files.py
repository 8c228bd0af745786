"""Writes `.h5` model files as other versions of Keras do, entry by entry."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Groups = Mapping[str, Mapping[str, NDArray[np.float32]]]


def write_h5(path: Path, config: Any, groups: Groups | None = None, version: str = "2.4.0", **attributes: Any) -> Path:
    """A whole model: its configuration, and each layer's weights by the names that they have in the file."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        file.attrs["keras_version"] = version
        file.attrs.update(attributes)
        whole = file.create_group("model_weights")
        whole.attrs["layer_names"] = [name.encode() for name in groups or {}]
        for name, weights in (groups or {}).items():
            group = whole.create_group(name)
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, values in weights.items():
                group.create_dataset(weight, data=values)
    return path


def entry(class_name: str, name: str = "", *inbound: Any, **config: Any) -> dict[str, Any]:
    """A layer of Keras 1 or 2. `inbound` are the names of the layers that it is called on, together."""
    name = name or class_name.lower()
    calls = [[[given, 0, 0, {}] for given in inbound]] if inbound else []
    return {"class_name": class_name, "name": name, "config": {"name": name, **config}, "inbound_nodes": calls}


def sequential(*layers: dict[str, Any], shape: tuple[int | None, ...] = (None, 8, 9, 3)) -> dict[str, Any]:
    """A Sequential model of Keras 2 or 3."""
    first = entry("InputLayer", "input", batch_input_shape=list(shape))
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [first, *layers]}}


def functional(*layers: dict[str, Any], output: str) -> dict[str, Any]:
    """A functional model of Keras 2; its first layer is the input."""
    ends = {"input_layers": [[layers[0]["name"], 0, 0]], "output_layers": [[output, 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "model", "layers": list(layers), **ends}}
