"""The shape of everything that an ONNX graph makes of a photo, worked out without running it.

ONNX' own inference gives the shapes that one operator answers with, from those that it takes; where a shape is a number
that the graph computes, from other shapes or from its weights, that number is computed here. So a shape that stays
unknown depends on what is on a photo, or on what nobody can tell: both have no bound.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from foodscene.models.graph.graph import ModelRefused

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, TypeProto

Sizes: TypeAlias = tuple[int, ...]

MOST_VALUES = 1 << 27
"""Of one tensor, for each photo: 512 MB in float32. VGG16 has up to 3 million."""

_SHORT = 1024
"""Values of a tensor that may be a shape; what is longer is weights or pixels, which no shape is inferred from."""

_COMPUTED = frozenset(
    """
    Abs Add And Cast Ceil Concat ConstantOfShape Div Equal Expand Flatten Floor Gather Greater GreaterOrEqual Identity
    Less LessOrEqual Max Min Mod Mul Neg Not Or Pow Range ReduceMax ReduceMin ReduceProd ReduceSum Reshape Round
    ScatterND Shape Size Slice Split Sqrt Squeeze Sub Transpose Unsqueeze Where
    """.split()
)
"""The operators that graphs compute shapes with. Each costs no more than what it takes and gives."""


class Contradiction(ModelRefused):
    """A graph whose operators do not fit each other, for photos of one shape and so many of them."""


def infer(model: "ModelProto", name: str, shape: Sizes) -> dict[str, Sizes]:
    """The shape of each tensor by its name, where the input `name` takes photos of one `shape`, their number first.

    Raises `Contradiction`, and `ModelRefused` for what is larger than `MOST_VALUES` for each photo, or has no bound.
    """
    walk = _Walk(model, shape[0])
    walk.add(name, walk.tensor_type(_kind(model, name), shape))
    for node in model.graph.node:
        walk.step(node)
    return walk.shapes


def _kind(model: "ModelProto", name: str) -> int:
    return next((value.type.tensor_type.elem_type for value in model.graph.input if value.name == name), 1)


class _Walk:
    """What is known of each tensor so far: its type with its shape, and its values where they may be a shape."""

    def __init__(self, model: "ModelProto", photos: int) -> None:
        self.model = model
        self.photos = photos
        self.shapes: dict[str, Sizes] = {}
        self._types: dict[str, TypeProto] = {}
        self._values: dict[str, TensorProto] = {}
        self._opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
        for tensor in model.graph.initializer:
            self._add_constant(tensor.name, tensor)
        for sparse in model.graph.sparse_initializer:
            self.add(sparse.values.name, self.tensor_type(sparse.values.data_type, tuple(sparse.dims)))

    @staticmethod
    def tensor_type(kind: int, shape: Sizes) -> "TypeProto":
        from onnx import helper

        return helper.make_tensor_type_proto(kind, shape)

    def add(self, name: str, type_: "TypeProto") -> None:
        """Note what a tensor is. Raises `ModelRefused` where it is too large."""
        shape = tuple(dim.dim_value for dim in type_.tensor_type.shape.dim)
        if (values := math.prod(shape)) > MOST_VALUES * self.photos:
            raise ModelRefused(
                f"model.onnx makes {name[:80]!r} of {values:,} values for a batch of {self.photos}; up to "
                f"{MOST_VALUES:,} a photo are run."
            )
        self._types[name], self.shapes[name] = type_, shape

    def step(self, node: "NodeProto") -> None:
        """Find out what an operator answers with."""
        if not all(name in self._types for name in node.input if name):
            raise ModelRefused(f"model.onnx has operators out of order: {node.op_type!r} takes what is not made yet.")
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            self._add_constant(node.output[0], node.attribute[0].t)  # may be all of the weights
            return
        found = self._inferred(node)
        # A dropout's second answer is what it leaves out, of which older versions do not say the shape: nothing.
        for name in filter(None, node.output[: 1 if node.op_type == "Dropout" else None]):
            if name not in found or not _is_known(found[name]):
                raise ModelRefused(
                    f"model.onnx contains {node.op_type!r}, whose size would depend on what is on a photo, or "
                    "cannot be told: it has no bound. Export the model with known shapes."
                )
            self.add(name, found[name])
        if node.op_type in ("Constant", *_COMPUTED) and self._can_be_computed(node):
            self._compute(node)

    def _add_constant(self, name: str, tensor: "TensorProto") -> None:
        self.add(name, self.tensor_type(tensor.data_type, tuple(tensor.dims)))
        if math.prod(tensor.dims) <= _SHORT:
            self._values[name] = tensor

    def _inferred(self, node: "NodeProto") -> Mapping[str, "TypeProto"]:
        from onnx import defs, helper, shape_inference

        taken = [name for name in node.input if name]
        try:
            return dict(
                shape_inference.infer_node_outputs(
                    defs.get_schema(node.op_type, self._opset),
                    node,
                    {name: self._types[name] for name in taken},
                    {name: self._values[name] for name in taken if name in self._values},
                    opset_imports=[helper.make_opsetid("", self._opset)],
                    ir_version=self.model.ir_version,
                )
            )
        except Exception as error:  # the library's own exceptions share no base class
            raise Contradiction(f"model.onnx contradicts itself at {node.op_type!r}: {_first_line(error)}") from error

    def _can_be_computed(self, node: "NodeProto") -> bool:
        if any(math.prod(self.shapes[name]) > _SHORT for name in node.output if name):
            return False
        return node.op_type in ("Shape", "Size") or all(name in self._values for name in node.input if name)

    def _compute(self, node: "NodeProto") -> None:
        """Compute what a small operator answers with, of values that are known."""
        from onnx import helper, numpy_helper
        from onnx.reference import ReferenceEvaluator

        taken = [name for name in dict.fromkeys(node.input) if name]
        given: dict[str, Any] = {}
        if node.op_type in ("Shape", "Size"):  # of a tensor that may be large: not its values count
            import numpy as np

            given[node.input[0]] = np.broadcast_to(np.zeros(1, np.bool_), self.shapes[node.input[0]])
        else:
            given = {name: numpy_helper.to_array(self._values[name]) for name in taken}
        inputs = [helper.make_value_info(name, self._types[name]) for name in taken]
        outputs = [helper.make_value_info(name, self._types[name]) for name in node.output if name]
        alone = helper.make_model(
            helper.make_graph([node], "alone", inputs, outputs), opset_imports=[helper.make_opsetid("", self._opset)]
        )
        try:
            found = ReferenceEvaluator(alone).run(None, given)
            for value, array in zip(outputs, found, strict=True):
                self._values[value.name] = numpy_helper.from_array(array, value.name)
        except Exception as error:  # of whatever NumPy makes of numbers that do not fit each other
            raise Contradiction(f"model.onnx contradicts itself at {node.op_type!r}: {_first_line(error)}") from error


def _is_known(type_: "TypeProto") -> bool:
    tensor = type_.tensor_type
    return tensor.HasField("shape") and all(
        dim.HasField("dim_value") and dim.dim_value >= 0 for dim in tensor.shape.dim
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
