"""A network: layers one after the other, and the step that trains them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from foodscene.training.scratch.activations import Softmax
from foodscene.training.scratch.layer import Array, Layer, Shape
from foodscene.training.scratch.losses import CrossEntropy, Loss
from foodscene.training.scratch.optimizers import Optimizer


class Network:
    """Layers with parameters drawn from a seed. What it computes is `forward`; how it learns is `step`."""

    def __init__(self, layers: Sequence[Layer], shape: Shape, *, seed: int = 0, dtype: DTypeLike = np.float32) -> None:
        """Layers for inputs of shape (n, *shape), all computing in `dtype`, float32 or float64.

        Raises `ShapeError` where a layer cannot take what the one before it makes.
        """
        self.layers, self.shape = list(layers), shape
        rng = np.random.default_rng(seed)
        for layer in self.layers:
            shape = layer.build(shape, rng, dtype)
        self.outputs = shape
        self.draw_from(seed)
        self._lowest = next((i for i, layer in enumerate(self.layers) if layer.parameters), len(self.layers))
        if self._lowest < len(self.layers):
            self.layers[self._lowest].lowest = True
        # In one piece, of which the layers' arrays become views: an optimizer's step is then one for all.
        self.parameters = self._joined("parameters", dtype)
        """All parameters, shape (count,)."""
        self.gradients = self._joined("gradients", dtype)
        """dL/dw for each of them."""
        kernels = [np.full(one.size, one.ndim > 1, dtype) for layer in self.layers for one in layer.parameters]
        self.kernels: Array = np.concatenate([np.empty(0, dtype), *kernels])
        """1 for the parameters that belong to kernels, else 0: biases and batch norm's scales do not decay."""

    def forward(self, x: NDArray[Any], *, training: bool = False) -> Array:
        """The answers for a batch (n, *shape), in memory that the next call overwrites."""
        for layer in self.layers:
            x = layer.forward(x, training=training)
        return x

    def measure(self, loss: Loss, y: Array, t: Array) -> float:
        """The loss of the answers `y` of the last `forward`, given their targets `t`."""
        last = self.layers[-1]
        if isinstance(loss, CrossEntropy) and isinstance(last, Softmax):
            return loss.forward(y, t, last.logs)
        return loss.forward(y, t)

    def backward(self, loss: Loss, y: Array, t: Array) -> None:
        """Back-propagation: the gradients, from the answers `y` of the last `forward` and their targets `t`."""
        last = len(self.layers)
        if isinstance(loss, CrossEntropy) and isinstance(self.layers[-1], Softmax):
            gradient = loss.before_softmax(y, t)
            last -= 1
        else:
            gradient = loss.backward(y, t)
        for layer in reversed(self.layers[self._lowest : last]):
            gradient = layer.backward(gradient)

    def step(self, x: NDArray[Any], t: Array, loss: Loss, optimizer: Optimizer, rate: float) -> tuple[float, Array]:
        """A training step on a batch x (n, *shape) with targets t: the loss before it, and the answers."""
        y = self.forward(x, training=True)
        value = self.measure(loss, y, t)
        self.backward(loss, y, t)
        optimizer.step(self.parameters, self.gradients, rate, self.kernels)
        return value, y

    def predict(self, x: NDArray[Any], batch_size: int = 64) -> Array:
        """The answers for any number of inputs, shape (n, *outputs)."""
        answers = np.empty((len(x), *self.outputs), self.parameters.dtype)
        for start in range(0, len(x), batch_size):
            answers[start : start + batch_size] = self.forward(x[start : start + batch_size])
        return answers

    def draw_from(self, *entropy: int) -> None:
        """Let what layers draw while training follow from these numbers, a run's seed and epoch for example."""
        for index, layer in enumerate(self.layers):
            layer.rng = np.random.Generator(np.random.SFC64([*entropy, index]))

    @property
    def weights(self) -> list[Array]:
        """Parameters and statistics, layer by layer, in Keras' order; views, to be copied where they are to stay."""
        return [weight for layer in self.layers for weight in layer.weights]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Take these over. Raises a ValueError where they are those of another network."""
        if [one.shape for one in weights] != [one.shape for one in self.weights]:
            raise ValueError("These are the weights of another network.")
        for own, given in zip(self.weights, weights, strict=True):
            own[...] = given

    def _joined(self, name: str, dtype: DTypeLike) -> Array:
        arrays = [array for layer in self.layers for array in getattr(layer, name)]
        joined: Array = np.concatenate([np.empty(0, dtype), *(array.ravel() for array in arrays)])
        ends = np.cumsum([array.size for array in arrays])
        views = iter(np.split(joined, ends[:-1]) if arrays else [])
        for layer in self.layers:
            setattr(layer, name, [next(views).reshape(array.shape) for array in getattr(layer, name)])
        return joined
