"""The neutral graph: the layers of a network with their weights, and which is called on what. Data, never code."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError

Shape: TypeAlias = tuple[int | None, ...]
"""In Keras' order of axes; the first is the batch, always None. Other axes are None where a model leaves them open."""

Array: TypeAlias = NDArray[Any]

_PASS_ON = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "cast", "reshape", "squeeze"})


class ModelRefused(FoodsceneError, ValueError):
    """A file that is no model foodscene can read. Its text says what was found and what to do about it."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A layer or an operation.

    `kind` is Keras 3's class name of a layer (`Conv2D`), or the lower-case name of an operation (`add`). `options` has
    every option that matters for its answer, by Keras 3's names, defaults filled in. `weights` are float32 or float16,
    by Keras 3's names, in the order and the axes of Keras 3.
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)

    def weight(self, name: str) -> NDArray[np.float32]:
        """One of the weights, in float32."""
        return np.asarray(self.weights[name], dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A call of a layer. `inputs` are the nodes whose answers it takes, or constants (float32) among them."""

    layer: Layer
    inputs: tuple["Node | Array", ...] = ()

    @property
    def sources(self) -> tuple["Node", ...]:
        """The inputs that are no constants."""
        return tuple(given for given in self.inputs if isinstance(given, Node))


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A network of one input and one output. Two nodes of one layer share its weights.

    `shapes` holds what each node answers with; `version` is the version of Keras that wrote the file, as it says.
    """

    input: Node
    output: Node
    nodes: tuple[Node, ...]
    shapes: Mapping[Node, Shape]
    version: str = ""

    @property
    def input_shape(self) -> Shape:
        return self.shapes[self.input]

    @property
    def output_shape(self) -> Shape:
        return self.shapes[self.output]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Each layer once, in the order of their first calls."""
        return tuple(dict.fromkeys(node.layer for node in self.nodes))

    @property
    def activation(self) -> str:
        """The activation that the answer went through last."""
        node = self.output
        while node.layer.kind in _PASS_ON or node.layer.options.get("activation") == "linear":
            if node.layer.kind not in _PASS_ON | {"Activation"}:
                return "linear"
            node = node.sources[0]
        if node.layer.kind == "Softmax":
            return "softmax"
        return str(node.layer.options.get("activation", "linear"))


def in_words(shape: tuple[int | None, ...]) -> str:
    """A shape as people write it, ``any x 224 x 224 x 3``; a side that is open is called so, as the batch always is."""
    return " x ".join("any" if side is None else str(side) for side in shape) or "nothing"


def ordered(output: Node) -> Iterator[Node]:
    """The nodes that an output depends on, itself included, each after its inputs."""
    seen: set[Node] = set()
    pending: list[tuple[Node, bool]] = [(output, False)]
    while pending:
        node, ready = pending.pop()
        if ready:
            yield node
        elif node not in seen:
            seen.add(node)
            pending.append((node, True))
            pending.extend((source, False) for source in reversed(node.sources))
