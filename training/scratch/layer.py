"""A layer: a function of its input and of parameters, and its derivatives."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from foodscene.models.errors import FoodsceneError

Array = NDArray[np.floating[Any]]
"""Of float32 or float64, as the network is."""

Shape = tuple[int, ...]
"""Of what stands for one picture: without the batch's size n, which comes before it."""


class ShapeError(FoodsceneError, ValueError):
    """Inputs of a shape that a layer cannot take. Its text says what to change."""


class Layer:
    """What all layers share. One without parameters needs `forward` and `backward` alone.

    Back-propagation (Rumelhart, Hinton and Williams, 1986; Goodfellow et al., "Deep Learning", 6.5): with L the loss
    and y = f(x, w), `backward` takes dL/dy, stores dL/dw and returns dL/dx, each of the shape of what it is for.

    A layer never changes what it is given. What it returns is memory of its own, overwritten by its next call.
    """

    lowest = False
    """Whether no layer before it has parameters: then `backward` may return anything, as nobody asks for dL/dx."""

    def __init__(self) -> None:
        self.parameters: list[Array] = []
        """What is learned; a kernel comes first. Filled by `build`, like the two that follow."""
        self.gradients: list[Array] = []
        """dL/dw of each parameter, of its shape."""
        self.statistics: list[Array] = []
        """What is kept beside the parameters and not learned by gradients."""
        self.rng = np.random.default_rng()
        """What draws while the network trains."""
        self._memory: dict[str, Array] = {}

    def build(self, shape: Shape, rng: np.random.Generator, dtype: DTypeLike) -> Shape:  # noqa: ARG002
        """Draw the parameters for inputs of `shape`, and say the outputs' shape.

        Raises `ShapeError` where inputs of that shape cannot be taken.
        """
        return shape

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """What the layer makes, y, of inputs x of shape (n, *shape)."""
        raise NotImplementedError

    def backward(self, gradient: Array) -> Array:
        """dL/dx for dL/dy of the last `forward`, which was one of training; stores `gradients`."""
        raise NotImplementedError

    @property
    def weights(self) -> list[Array]:
        """Parameters and statistics in the order in which Keras' layer has them."""
        return [*self.parameters, *self.statistics]

    def _own(self, parameters: list[Array], statistics: list[Array] | None = None) -> None:
        self.parameters, self.statistics = parameters, statistics or []
        self.gradients = [np.zeros_like(one) for one in parameters]

    def _buffer(self, name: str, shape: Shape, dtype: DTypeLike) -> Array:
        """Memory that is kept from call to call, zero at first; a smaller batch gets the beginning of it.

        Fresh memory would be zeroed by the operating system page by page, in every step anew.
        """
        known = self._memory.get(name)
        if known is None or known.shape[1:] != shape[1:] or len(known) < shape[0]:
            known = self._memory[name] = np.zeros(shape, dtype)
        return known[: shape[0]]
