"""Reads what an exported `model.onnx` takes and answers with. Nothing of it is run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from foodscene.models.exported.safety import load
from foodscene.models.exported.sizes import Contradiction, Sizes, infer
from foodscene.models.graph.graph import ModelRefused, Shape, in_words

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

_MANY = 128
"""Photos at once for which sizes are looked at: none may grow faster than their number."""

_ANSWERS = ("logits", "output", "output0", "probabilities", "probs")
"""What exporters call the answer; it is looked for where a graph gives several."""

_PASS_ON = frozenset(
    {"Cast", "CastLike", "DequantizeLinear", "Dropout", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze"}
    | {"Transpose", "Unsqueeze"}
)
_LINEAR = frozenset(
    {"Add", "AveragePool", "BatchNormalization", "Concat", "Conv", "ConvInteger", "Div", "Einsum", "Gemm"}
    | {
        "GlobalAveragePool",
        "LogSoftmax",
        "MatMul",
        "MatMulInteger",
        "Mul",
        "QLinearConv",
        "QLinearMatMul",
        "ReduceMean",
    }
    | {"ReduceSum", "Sub", "Sum"}
)
"""Operators whose answers are logits. A logarithm of probabilities is one, too."""

Dtype: TypeAlias = Literal["float32", "float16"]

_ARITHMETIC = frozenset({"Add", "Div", "Mul", "Sub"})


@dataclass(frozen=True, slots=True)
class Exported:
    """A model of one input, photos, and of the one of its answers that counts."""

    input: str
    output: str
    dtype: Dtype
    channels_first: bool
    """Whether photos go in as (n, channels, height, width), which is ONNX' own order."""
    batch: int | None
    """How many photos it takes at once; None where it takes any number."""
    input_shape: Shape
    """(None, height, width, channels), whatever order they go in."""
    output_shape: Shape
    activation: str
    scales: bool
    """Whether its first operators are arithmetic with constants, as where preprocessing is part of the graph."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file that was read, and what it says of itself; `sized` makes sure of the rest."""

    model: "ModelProto"
    image: "ValueInfoProto"
    dtype: Dtype
    channels_first: bool

    @property
    def metadata(self) -> dict[str, str]:
        """What the exporter wrote into the file."""
        return {entry.key: entry.value for entry in self.model.metadata_props}

    @property
    def producer(self) -> str:
        """The program that exported it, such as "pytorch"."""
        return str(self.model.producer_name)

    @property
    def input_shape(self) -> Shape:
        """(None, height, width, channels); None where the file leaves a size open."""
        sizes = _sizes(self.image)
        first = 2 if self.channels_first else 1
        return (None, sizes[first], sizes[first + 1], self.channels)

    @property
    def channels(self) -> int:
        """As the input says, or the first convolution; 3 where neither does, as almost all networks take."""
        said = _sizes(self.image)[1 if self.channels_first else 3]
        weights = {tensor.name: tensor.dims for tensor in self.model.graph.initializer}
        for node in _takers(self.model, self.image.name):
            if said is None and node.op_type == "Conv" and len(weights.get(node.input[1], ())) == 4:
                groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
                return int(weights[node.input[1]][1]) * groups
        return said or 3


def read(content: bytes) -> Export:
    """A `model.onnx` that is made of what may be run. Raises `ModelRefused`, with the reason."""
    model = load(content)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        named = ", ".join(repr(value.name[:40]) for value in inputs[:4])
        raise ModelRefused(f"model.onnx takes {len(inputs)} inputs ({named}); a classifier of photos takes one.")
    (image,) = inputs
    if len(image.type.tensor_type.shape.dim) != 4:
        raise ModelRefused(
            f"model.onnx takes an input of {_words(image)}; photos have four sizes, (n, channels, height, width) or "
            "(n, height, width, channels)."
        )
    return Export(model, image, _dtype(image), _channels_first(model, image))


def sized(export: Export, height: int, width: int) -> Exported:
    """What an export takes and answers with, for photos of one size, and that it stays in bounds.

    Raises `ModelRefused` for one that contradicts itself, makes too much of a photo, or whose sizes have no bound.
    """
    model, image = export.model, export.image
    channels = export.channels
    one = (channels, height, width) if export.channels_first else (height, width, channels)
    output = _answer(model)
    batch = _sizes(image)[0]
    shape = infer(model, image.name, (batch or 1, *one))[output]
    if batch is None:
        batch = _open_batch(model, image.name, one, output)
    while len(shape) > 2 and shape[-1] == 1:  # as where the last layer is a convolution
        shape = shape[:-1]
    return Exported(
        image.name,
        output,
        export.dtype,
        export.channels_first,
        batch,
        (None, height, width, channels),
        (None, *shape[1:]),
        _activation(model, output),
        _scales(model, image.name),
    )


def _open_batch(model: "ModelProto", name: str, one: Sizes, output: str) -> int | None:
    """None where a graph does take any number of photos, as it says; 1 where that was fixed within it."""
    try:
        many = infer(model, name, (_MANY, *one))[output]
    except Contradiction:
        return 1
    return None if many[:1] == (_MANY,) else 1


def _channels_first(model: "ModelProto", image: "ValueInfoProto") -> bool:
    """The order of a photo's axes: by its sizes, by what is done first, by what the axes are called; else ONNX' own."""
    _, second, _, last = _sizes(image)
    if (second in (1, 3)) != (last in (1, 3)):
        return second in (1, 3)
    for node in _takers(model, image.name):
        for attribute in node.attribute:
            if node.op_type == "Transpose" and attribute.name == "perm":
                return list(attribute.ints) != [0, 3, 1, 2]
    names = [dim.dim_param.lower() for dim in image.type.tensor_type.shape.dim]
    return "channel" not in names[3]


def _answer(model: "ModelProto") -> str:
    """The name of the output that counts."""
    names = [str(value.name) for value in model.graph.output]
    if len(names) == 1:
        return names[0]
    known = [name for name in _ANSWERS if name in names]
    if not known:
        raise ModelRefused(
            f"model.onnx gives {len(names)} answers ({', '.join(repr(name[:40]) for name in names[:4])}); a classifier "
            "gives one. Export it with that alone, or call it 'logits' or 'output'."
        )
    return known[0]


def _dtype(image: "ValueInfoProto") -> Dtype:
    from onnx import TensorProto

    kind = image.type.tensor_type.elem_type
    if kind == TensorProto.FLOAT:
        return "float32"
    if kind == TensorProto.FLOAT16:
        return "float16"
    named = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else str(kind)
    raise ModelRefused(f"model.onnx takes values of the type {named}; photos are given in FLOAT or FLOAT16.")


def _activation(model: "ModelProto", name: str) -> str:
    """The activation that an answer went through last, by Keras' names where there are any."""
    makers = {output: node for node in model.graph.node for output in node.output}
    node = makers.get(name)
    while node is not None and node.op_type in _PASS_ON:
        node = makers.get(node.input[0])
    if node is None:
        return "linear"
    divided = makers.get(node.input[0]) if node.op_type == "Div" else None
    if node.op_type == "Softmax" or (divided is not None and divided.op_type == "Exp"):
        return "softmax"
    return "linear" if node.op_type in _LINEAR else str(node.op_type).lower()


def _scales(model: "ModelProto", name: str) -> bool:
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {output for node in model.graph.node if node.op_type == "Constant" for output in node.output}
    takers = list(_takers(model, name))
    return bool(takers) and all(
        node.op_type in _ARITHMETIC and any(given in constants for given in node.input) for node in takers
    )


def _takers(model: "ModelProto", name: str) -> "Iterator[NodeProto]":
    """The operators that take a tensor, but for those that look at its shape alone."""
    return (node for node in model.graph.node if name in node.input and node.op_type != "Shape")


def _sizes(value: "ValueInfoProto") -> tuple[int | None, ...]:
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim)


def _words(value: "ValueInfoProto") -> str:
    sizes = _sizes(value)
    return f"the shape {in_words(sizes)}" if sizes else "no known shape"
