"""Compiles a graph to ONNX, layer by layer, by the package `onnx` alone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from foodscene.models.graph.graph import Graph, Layer, ModelRefused, Node, Shape
from foodscene.models.graph.layers.kind import channel
from foodscene.models.graph.lowering import LOWERINGS
from foodscene.models.graph.lowering.normalization import batch_norm_factors
from foodscene.models.graph.lowering.tensors import Emitter, Tensor, model

OPSET = 20
"""Of the ONNX operators: known to ONNX Runtime since 1.17."""

INPUT, OUTPUT, FEATURES, CLOSENESS = "pixels", "output", "features", "closeness"
"""The names of a compiled model's input and outputs."""

_CONVOLUTIONS = frozenset({"Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D"})


def compile_graph(
    graph: Graph,
    *,
    features: Node | None = None,
    prototypes: NDArray[np.floating[Any]] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """An ONNX model that answers as the graph does.

    Its input `pixels` has the graph's shape, float32, channels last; its output `output` the graph's. With `features`,
    a node of the graph such as `features_of` gives, a second output `features` has what that node answers. With
    `prototypes` too, of shape (prototypes, features) and unit length, a third one, `closeness`, of shape (n,), has the
    largest cosine of the features to one of these. `metadata` is kept in the file. Batch normalizations are folded into
    the convolutions and dense layers before them.
    Raises `ModelRefused` where a size is left open that ONNX needs.
    """
    emitter = Emitter()
    callers: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for source in node.sources:
            callers.setdefault(source, []).append(node)
    tensors: dict[Node, Tensor] = {graph.input: Tensor(graph.input_shape, {"keras": INPUT})}
    for node in graph.nodes:
        if node in tensors:
            continue
        only = callers.get(node, [])
        inputs = [tensors[item] if isinstance(item, Node) else item for item in node.inputs]
        try:
            if node is not features and node is not graph.output and _takes_border(node, only):
                bare = tensors[node.sources[0]]
                emitter.get(bare, emitter.order_of(bare))
                tensors[node] = Tensor(graph.shapes[node], bare.names, node.layer.options["padding"])
                continue
            if len(only) == 1 and node is not features and (folded := _folded(node, only[0], graph.shapes[node])):
                tensors[only[0]] = LOWERINGS[node.layer.kind](emitter, folded, inputs, graph.shapes[node])
                continue
            tensors[node] = LOWERINGS[node.layer.kind](emitter, node.layer, inputs, graph.shapes[node])
        except ModelRefused as error:
            raise ModelRefused(f"The layer {node.layer.name[:80]!r} ({node.layer.kind}): {error}.") from None
    ends = [(OUTPUT, graph.output)] + ([(FEATURES, features)] if features else [])
    outputs = []
    for name, node in ends:
        emitter.alias(emitter.get(tensors[node], "keras"), name)
        outputs.append((name, graph.shapes[node]))
    if features and prototypes is not None:
        emitter.alias(_closeness(emitter, emitter.get(tensors[features], "keras"), prototypes), CLOSENESS)
        outputs.append((CLOSENESS, (None,)))
    return model(emitter, (INPUT, graph.input_shape), outputs, metadata or {}, OPSET)


def _closeness(emitter: Emitter, features: str, prototypes: NDArray[np.floating[Any]]) -> str:
    """The largest cosine of features to a prototype: what `models.familiarity` computes, on the session's threads."""
    across = emitter.integers([1])
    cosines = emitter.node("MatMul", [features, emitter.constant(prototypes.T)])
    nearest = emitter.node("ReduceMax", [cosines, across], keepdims=0)
    length = emitter.node("ReduceL2", [features, across], keepdims=0)
    return emitter.node("Div", [nearest, emitter.node("Max", [length, emitter.constant(1e-12)])])


def _takes_border(node: Node, callers: list[Node]) -> bool:
    """Whether the zeros around a layer's answer can be left to the convolutions that take it."""
    return (
        node.layer.kind in ("ZeroPadding1D", "ZeroPadding2D")
        and node.layer.options["data_format"] == "channels_last"
        and bool(callers)
        and all(
            caller.layer.kind in _CONVOLUTIONS and caller.layer.options["data_format"] == "channels_last"
            for caller in callers
        )
    )


def _folded(node: Node, caller: Node, shape: Shape) -> Layer | None:
    """A layer that does what it and the batch normalization after it do; None where these cannot become one."""
    layer, norm = node.layer, caller.layer
    if norm.kind != "BatchNormalization" or (layer.kind not in _CONVOLUTIONS and layer.kind != "Dense"):
        return None
    axis = len(shape) - 1 if layer.kind == "Dense" else channel(layer.options, len(shape))
    if layer.options["activation"] != "linear" or norm.options["axis"] % len(shape) != axis:
        return None
    factor, offset = batch_norm_factors(norm)
    kernel = layer.weight("kernel").astype(np.float64)
    across = factor.reshape(kernel.shape[-2:]) if layer.kind.startswith("Depthwise") else factor
    bias = layer.weight("bias") if "bias" in layer.weights else np.float32(0)
    weights = {
        "kernel": (kernel * across).astype(np.float32),
        "bias": (bias * factor + offset).astype(np.float32),
    }
    return replace(layer, weights=weights)
