"""Models as exporters write them, tiny: they answer with how red, green and blue a photo is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

POOL = helper.make_node("GlobalAveragePool", ["x"], ["p"])
FLATTEN = helper.make_node("Flatten", ["p"], ["f"])
DENSE = helper.make_node("Gemm", ["f", "w"], ["y"])
NETWORK = (POOL, FLATTEN, DENSE)
KERNEL = np.eye(3, dtype=np.float32)

Side = int | str | None


def model(
    nodes: Sequence[NodeProto] = NETWORK,
    shape: Sequence[Side] = ("n", 3, 16, 16),
    *,
    kind: int = TensorProto.FLOAT,
    kernel: "NDArray[np.generic]" = KERNEL,
    outputs: Sequence[str] = ("y",),
    metadata: dict[str, str] | None = None,
    weights: Sequence[TensorProto] = (),
    producer: str = "",
) -> onnx.ModelProto:
    """A network on photos `x`, whose weight `w` is `kernel`."""
    x = helper.make_tensor_value_info("x", kind, shape)
    ends = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
    made = helper.make_graph(nodes, "graph", [x], ends, [numpy_helper.from_array(kernel, "w"), *weights])
    found = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name=producer)
    helper.set_model_props(found, metadata or {})
    return found


def folder(place: Path, made: onnx.ModelProto, labels: str | None = "red\ngreen\nblue\n", **beside: str) -> Path:
    """A bundle of it; `beside` are the texts of further files, by their names without `.json`."""
    place.mkdir()
    (place / "model.onnx").write_bytes(made.SerializeToString())
    if labels is not None:
        (place / "labels.txt").write_text(labels)
    for name, text in beside.items():
        (place / f"{name}.json").write_text(text)
    return place
