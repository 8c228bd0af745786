"""What a `model.onnx` is made of, read before ONNX Runtime loads it.

A graph is a program too. It may name files as its weights, which ONNX Runtime reads wherever they lie; it may loop for
ever, or make a tensor of any size out of what is on a photo. So the operators that it names are compared with the list
below, and none may take a size from a photo's pixels: what a graph costs on one photo, it costs on each.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from foodscene.models.graph.graph import ModelRefused

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

OPERATORS = frozenset(
    """
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat Constant
    ConstantOfShape Conv ConvInteger ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Dropout
    DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm
    GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity
    InstanceNormalization LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul
    MatMulInteger Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg Not OneHot Or PRelu Pad Pow
    QLinearConv QLinearMatMul QuantizeLinear RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements
    ScatterND Selu Shape Shrink Sigmoid Sign Sin Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze
    Sub Sum Swish Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
    """.split()
)
"""ONNX' own operators that networks for images are exported to. None loops."""

_SIZES = {
    "ConstantOfShape": (0,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Tile": (1, 2),
    **dict.fromkeys(("Expand", "OneHot", "Reshape", "Split", "Squeeze", "TopK", "Unsqueeze", "Upsample"), (1,)),
    **dict.fromkeys((name for name in OPERATORS if name.startswith("Reduce")), (1,)),
}
"""Which inputs of an operator say what shape its output gets. Elsewhere that follows from the inputs' own shapes."""

_STANDARD = ("", "ai.onnx")
_MOST_NODES = 50_000
"""Operators of a graph: a network of Keras' applications has up to 3,000."""
_MOST_VALUES = 1 << 27
"""Of one tensor, for each photo: 512 MB in float32. VGG16 has up to 3 million."""
_BATCHES = (1, 128)
"""Photos at once for which sizes are looked at: no size may grow faster than their number."""
_SHORT = 1024
"""Values of a tensor that may be a shape; what is longer is weights, which no shape is inferred from."""


def check(content: bytes, shape: tuple[int, int, int]) -> None:
    """Make sure that a model is made of ONNX' own operators, bounded in size, and needs no other file.

    `shape` is a photo's as it is given to it: (height, width, channels). Raises `ModelRefused`, which names what was
    found.
    """
    import onnx  # 40 MB that only a caller with a model pays

    if content[4:8] == b"ORTM":
        raise ModelRefused("model.onnx is in ONNX Runtime's own format, which is not read. Send the ONNX file.")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own exceptions, which its versions change
        raise ModelRefused(f"model.onnx cannot be loaded: it is no ONNX file: {error}") from error
    if not model.graph.node:
        raise ModelRefused("model.onnx holds no operators: it is no ONNX file, or an empty one.")
    if model.functions:
        raise ModelRefused("model.onnx brings functions of its own; only ONNX' own operators are run. Inline them.")
    if model.training_info:
        raise ModelRefused("model.onnx holds a training; only a model that predicts is run.")
    if len(model.graph.node) > _MOST_NODES:
        raise ModelRefused(f"model.onnx has {len(model.graph.node):,} operators; up to {_MOST_NODES:,} are run.")
    for node in model.graph.node:
        _refuse_operator(node)
    for tensor in _tensors(model):
        if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
            named = ", ".join(entry.value for entry in tensor.external_data if entry.key == "location")
            raise ModelRefused(
                f"model.onnx keeps {tensor.name!r} outside the file, in {named[:80]!r}: a model must hold its weights "
                "itself. Save it in one file."
            )
    _refuse_open_sizes(model.graph)
    _refuse_large_sizes(model, shape)


def _refuse_operator(node: "NodeProto") -> None:
    name = f"{node.domain}.{node.op_type}" if node.domain not in _STANDARD else node.op_type
    if name not in OPERATORS:
        advice = {
            "Loop": "it may never end",
            "Scan": "it may never end",
            "If": "which way it takes would depend on the photo",
        }.get(node.op_type, "only ONNX' own operators for images are run")
        raise ModelRefused(f"model.onnx contains {name[:80]!r}: {advice}. Export the model without it.")
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs:
            raise ModelRefused(f"model.onnx contains {name!r} with a graph of its own. Export the model without it.")


def _tensors(model: "ModelProto") -> "Iterator[TensorProto]":
    """Every tensor that a file holds, wherever it does."""
    graph = model.graph
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from _tensors_of(attribute)


def _tensors_of(attribute: "AttributeProto") -> "Iterator[TensorProto]":
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
    for each in (*sparse, *attribute.sparse_tensors):
        yield from (each.values, each.indices)


def _refuse_open_sizes(graph: "GraphProto") -> None:
    """Follow what is on a photo through the graph, whose operators stand in their order; it must not become a size."""
    weights = {tensor.name for tensor in graph.initializer} | {each.values.name for each in graph.sparse_initializer}
    photos = {value.name for value in graph.input} - weights
    made = {"", *photos, *weights}
    for node in graph.node:
        if not made.issuperset(node.input):
            raise ModelRefused(f"model.onnx has operators out of order: {node.op_type!r} takes what is not made yet.")
        made.update(node.output)
        for position in _SIZES.get(node.op_type, ()):
            if position < len(node.input) and node.input[position] in photos:
                raise ModelRefused(
                    f"model.onnx contains {node.op_type!r}, whose size would depend on what is on a photo: it has no "
                    "bound. Export the model with known shapes."
                )
        if node.op_type not in ("Shape", "Size") and photos.intersection(node.input):
            photos.update(node.output)


def _refuse_large_sizes(model: "ModelProto", shape: tuple[int, int, int]) -> None:
    """Infer the shapes, as far as that can be done without running anything."""
    from onnx import shape_inference

    for photos in _BATCHES:
        try:
            inferred = shape_inference.infer_shapes(_outline(model, (photos, *shape)), data_prop=True).graph
        except Exception as error:  # the library's own exceptions share no base class
            raise ModelRefused(f"model.onnx contradicts itself: {error}") from error
        for value in (*inferred.value_info, *inferred.output, *inferred.input):
            values = math.prod(max(1, dim.dim_value) for dim in value.type.tensor_type.shape.dim)
            if values > _MOST_VALUES * photos:
                raise ModelRefused(
                    f"model.onnx makes {value.name!r} of {values:,} values for a batch of {photos}; up to "
                    f"{_MOST_VALUES:,} a photo are run."
                )


def _outline(model: "ModelProto", shape: tuple[int, ...]) -> "ModelProto":
    """A model without its weights, which takes photos of one shape: (photos, height, width, channels)."""
    from onnx import ModelProto, helper

    outline = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    outline.graph.name = "outline"
    outline.graph.node.extend(model.graph.node)
    outline.graph.output.extend(model.graph.output)
    known = {tensor.name for tensor in model.graph.initializer}
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= _SHORT:
            outline.graph.initializer.append(tensor)
        else:
            outline.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    for value in model.graph.input:
        if value.name not in known:
            kind = value.type.tensor_type.elem_type
            outline.graph.input.append(helper.make_tensor_value_info(value.name, kind, shape))
    return outline
