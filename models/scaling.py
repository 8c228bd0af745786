"""What becomes of pixel values before they reach a network: what the card says, what the layers say, or nothing."""

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.card import CardInput
from foodscene.models.graph.graph import Graph, Node

SCALING = ("rescale", "offset", "mean", "std", "channel_order")
"""The keys of a card's `input` that say it."""


class Scaling(NamedTuple):
    """A factor and what is added, float32, by channel in the network's order; `said_by` tells where that is from."""

    factor: NDArray[np.float32]
    offset: NDArray[np.float32]
    reverse: bool
    said_by: str

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network takes, for photos of shape (n, height, width, channels), RGB or gray, values 0-255."""
        if self.reverse:
            pixels = pixels[..., ::-1]
        scaled = pixels * self.factor
        if self.offset.any():
            scaled += self.offset
        return scaled

    @property
    def is_identity(self) -> bool:
        """Whether the network takes pixel values as they are."""
        return not self.reverse and bool((self.factor == 1).all() and (self.offset == 0).all())

    def __str__(self) -> str:
        low, high = self.offset, self.factor * 255 + self.offset
        order = "BGR, " if self.reverse else ""
        if np.ptp(low) == 0 == np.ptp(high):
            return f"{order}{low[0]:.4g} to {high[0]:.4g} ({self.said_by})"
        return f"{order}by channel ({self.said_by})"


def scaling(given: CardInput, said_by: str) -> Scaling:
    """The scaling that a card's input means: ``(rescale · pixel + offset - mean) / std``, in its order of channels."""
    count = given.channels
    mean, std = (
        np.broadcast_to(np.asarray(values if values is not None else default, dtype=np.float64), count)
        for values, default in ((given.mean, 0.0), (given.std, 1.0))
    )
    factor = (given.rescale / std).astype(np.float32)
    offset = ((given.offset - mean) / std).astype(np.float32)
    same = np.ptp(factor) == 0
    return Scaling(
        factor[:1] if same else factor,
        offset[:1] if np.ptp(offset) == 0 else offset,
        given.channel_order == "bgr" and count == 3,
        said_by,
    )


def guess(graph: Graph) -> tuple[dict[str, Any], str]:
    """What a network's own layers say of the values that it takes: keys of a card's `input`, and in words why.

    No keys where it takes raw values, 0-255, or nothing tells: then that is assumed.
    """
    first = _first(graph)
    if first and all(_scales(node) for node in first):
        return {}, "its layers scale them"
    if _is_teachable_machine(graph):
        return {"rescale": 1 / 127.5, "offset": -1.0, "fit": "crop"}, "as Teachable Machine does"
    return {}, "assumed"


_ARRANGE = frozenset(
    {"CenterCrop", "Cropping2D", "Identity", "Permute", "Reshape", "Resizing", "cast", "getitem", "stack"}
)
"""What comes before a scaling and leaves values as they are; layers that augment are identities when they predict."""


def _first(graph: Graph) -> list[Node]:
    """The nodes that compute with pixel values first."""
    passed, first = {graph.input}, []
    for node in graph.nodes:  # each after its inputs
        if passed.intersection(node.sources):
            if node.layer.kind in _ARRANGE:
                passed.add(node)
            else:
                first.append(node)
    return first


def _scales(node: Node) -> bool:
    """Whether a layer on the input is arithmetic with constants, as `preprocess_input` and Rescaling are."""
    if node.layer.kind in ("Rescaling", "Normalization"):
        return True
    return node.layer.kind in ("add", "subtract", "multiply", "divide") and len(node.sources) == 1


def _is_teachable_machine(graph: Graph) -> bool:
    """Whether teachablemachine.withgoogle.com exported a graph: its layers are named by TensorFlow.js, a class behind.

    It trains on the middle of photos, scaled to -1..1, as the example code in its exports says.
    """
    names = [layer.name for layer in graph.layers]
    return (
        graph.input_shape[1:] == (224, 224, 3)
        and any(re.search(r"global_average_pooling2d_GlobalAveragePooling2D\d+$", name) for name in names)
        and bool(re.search(r"dense_Dense\d+$", names[-1]))
    )
