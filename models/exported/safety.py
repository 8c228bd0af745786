"""What a `model.onnx` is made of, read before ONNX Runtime loads it.

A graph is a program too. It may name files as its weights, which ONNX Runtime reads wherever they lie; it may loop for
ever, or make a tensor of any size out of what is on a photo. So the operators that it names are compared with the list
below; and `sizes` sees to it that none takes a size from a photo's pixels: what a graph costs on one photo, it costs on
each.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from foodscene.models.graph.graph import ModelRefused

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

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

_STANDARD = ("", "ai.onnx")
_MOST_NODES = 20_000
"""Operators of a graph: a network of Keras' applications has up to 3,000."""


def load(content: bytes) -> "ModelProto":
    """A model of ONNX' own operators that needs no other file. Raises `ModelRefused`, which names what was found."""
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
    return model


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
