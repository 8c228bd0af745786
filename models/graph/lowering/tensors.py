"""What an ONNX graph is written with: nodes, constants, and answers in either order of axes.

Keras keeps channels last, ONNX Runtime computes with channels first. An answer is kept in the order in which it was
made and turned only where a layer needs the other one, so that there are no transposes between convolutions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from foodscene.models.graph.graph import Array, Layer, ModelRefused, Shape

Order: TypeAlias = Literal["keras", "first"]
"""`keras`: the axes as Keras has them. `first`: the last of them, the channels, moved behind the batch."""


_ZERO = np.float32(1e-30)
"""As good as nothing. ONNX Runtime 1.31 moves a border of 0 into a max pooling after it, whose border is below all."""


@dataclass(slots=True)
class Tensor:
    """An answer of a layer: its shape in Keras' order, and its name in ONNX in each order in which it exists.

    `border` are zeros that still have to be put around the height and width: (top, bottom), (left, right).
    """

    shape: Shape
    names: dict[Order, str] = field(default_factory=dict)
    border: tuple[tuple[int, int], ...] = ()

    @property
    def rank(self) -> int:
        return len(self.shape)


class Emitter:
    """Collects the nodes and constants of an ONNX graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node of one output; give the output's name."""
        self._count += 1
        name = f"{kind.lower()}_{self._count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def alias(self, name: str, known_as: str) -> None:
        """Give an answer the name that it is known by outside."""
        self.nodes.append(helper.make_node("Identity", [name], [known_as], name=known_as))

    def constant(self, values: ArrayLike, dtype: Any = np.float32) -> str:
        """Add a constant; give its name. Small ones of the same values are kept once."""
        array = np.ascontiguousarray(values, dtype=dtype).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 64 else None
        if key in self._known:
            return self._known[key]
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        if key is not None:
            self._known[key] = name
        return name

    def integers(self, values: Iterable[int]) -> str:
        """A constant of whole numbers, int64, one axis."""
        return self.constant(np.array(list(values), dtype=np.int64), np.int64)

    def get(self, tensor: Tensor, order: Order) -> str:
        """The name of an answer in an order of axes; turns it where it does not exist so yet."""
        self._finish(tensor)
        if tensor.rank < 3:
            order = "keras"
        if order not in tensor.names:
            other: Order = "first" if order == "keras" else "keras"
            given, rank = tensor.names[other], tensor.rank
            moved = (0, rank - 1, *range(1, rank - 1)) if order == "first" else (0, *range(2, rank), 1)
            turned = [tensor.shape[place] for place in (0, rank - 1, *range(1, rank - 1))] if order == "first" else None
            if all(size == 1 for size in tensor.shape[1:-1]):  # the same values in the same order
                shape = turned if turned is not None else list(tensor.shape)
                tensor.names[order] = self.reshape(given, shape[1:])
            else:
                tensor.names[order] = self.node("Transpose", [given], perm=moved)
        return tensor.names[order]

    def without_border(self, tensor: Tensor, order: Order) -> str:
        """As `get`, of a tensor whose border the caller sees to himself."""
        bare = Tensor(self._bare_shape(tensor), tensor.names)
        return self.get(bare, order)

    def reshape(self, name: str, shape: Sequence[int | None]) -> str:
        """Give values another shape behind the batch."""
        sizes = [-1 if size is None else size for size in shape]
        return self.node("Reshape", [name, self.integers([0, *sizes])])

    def order_of(self, *tensors: Tensor) -> Order:
        """The order in which element-wise work needs the fewest turns."""
        rank = max(tensor.rank for tensor in tensors)
        return "first" if rank > 2 and any("first" in tensor.names for tensor in tensors) else "keras"

    def _bare_shape(self, tensor: Tensor) -> Shape:
        if not tensor.border:
            return tensor.shape
        sides = [
            None if side is None else side - before - after
            for side, (before, after) in zip(tensor.shape[1:-1], tensor.border, strict=True)
        ]
        return (None, *sides, tensor.shape[-1])

    def _finish(self, tensor: Tensor) -> None:
        """Put the border around a tensor that has one to come."""
        if not tensor.border:
            return
        order: Order = "first" if "first" in tensor.names else "keras"
        tensor.names = {order: self.pad(tensor.names[order], tensor.border, order)}
        tensor.border = ()

    def pad(self, name: str, border: Sequence[tuple[int, int]], order: Order) -> str:
        """Put zeros around the spatial axes."""
        before, after = [side[0] for side in border], [side[1] for side in border]
        ends = ((0, 0, *before), (0, 0, *after)) if order == "first" else ((0, *before, 0), (0, *after, 0))
        return self.node("Pad", [name, self.integers([*ends[0], *ends[1]]), self.constant(_ZERO)])


def place(axis: int, rank: int, order: Order) -> int:
    """Where an axis of Keras (counted from the front) stands in an order."""
    if order == "keras" or axis == 0:
        return axis
    return 1 if axis == rank - 1 else axis + 1


def turned(values: Array, rank: int, order: Order) -> Array:
    """A constant that meets a tensor of `rank` axes in an order, aligned at Keras' last axis."""
    if order == "keras" or values.ndim == 0:
        return values
    whole = values.reshape((1,) * (rank - values.ndim) + values.shape)
    return np.moveaxis(whole, -1, 1)


def static(shape: Shape) -> tuple[int, ...]:
    """All sizes behind the batch. Raises `ModelRefused` where one is open."""
    if None in shape[1:]:
        raise ModelRefused(f"its input of shape {shape} leaves sizes open")
    return tuple(size for size in shape[1:] if size is not None)


def model(
    emitter: Emitter,
    input_: tuple[str, Shape],
    outputs: Sequence[tuple[str, Shape]],
    metadata: Mapping[str, str],
    opset: int,
) -> onnx.ModelProto:
    """The ONNX model. The batch may have any size."""

    def described(name: str, shape: Shape) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape[1:]])

    graph = helper.make_graph(
        emitter.nodes, "model", [described(*input_)], [described(*output) for output in outputs], emitter.constants
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="foodscene")
    made.ir_version = 9
    for key, value in metadata.items():
        made.metadata_props.add(key=key, value=value)
    return made


Lowering: TypeAlias = Callable[[Emitter, Layer, list[Any], Shape], Tensor]
"""Writes one layer, called on these inputs (`Tensor`s, or arrays among them), whose answer has this shape."""
