"""Layers on rows of values: dense, flatten, dropout; and the scaling of pixels before all of them."""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from foodscene.training.scratch.initializers import INITIALIZERS
from foodscene.training.scratch.layer import Array, Layer, Shape, ShapeError


class Dense(Layer):
    """y = x W + b: x (n, inputs), W (inputs, units), b (units,), y (n, units).

    dL/dW = x^T dL/dy, dL/db = the sum of dL/dy over the batch, dL/dx = dL/dy W^T (Goodfellow et al., 6.5.6).
    """

    def __init__(self, units: int, initializer: str = "glorot_uniform", bias_initializer: str = "zeros") -> None:
        super().__init__()
        self.units, self.initializer, self.bias_initializer = units, initializer, bias_initializer

    def build(self, shape: Shape, rng: np.random.Generator, dtype: DTypeLike) -> Shape:
        if len(shape) != 1:
            raise ShapeError(f"A dense layer takes rows of values, not {shape}: put Flatten before it.")
        kernel = INITIALIZERS[self.initializer](rng, (shape[0], self.units))
        bias = INITIALIZERS[self.bias_initializer](rng, (self.units,))
        self._own([kernel.astype(dtype), bias.astype(dtype)])
        return (self.units,)

    def forward(self, x: Array, *, training: bool = False) -> Array:  # noqa: ARG002
        kernel, bias = self.parameters
        self._x = x
        y = self._buffer("y", (len(x), self.units), x.dtype)
        np.matmul(x, kernel, out=y)
        y += bias
        return y

    def backward(self, gradient: Array) -> Array:
        np.matmul(self._x.T, gradient, out=self.gradients[0])
        np.sum(gradient, axis=0, out=self.gradients[1])
        if self.lowest:
            return gradient
        into = self._buffer("into", self._x.shape, gradient.dtype)
        return np.matmul(gradient, self.parameters[0].T, out=into)


class Flatten(Layer):
    """(n, height, width, channels) as rows (n, height * width * channels), the channels of a place side by side."""

    def build(self, shape: Shape, rng: np.random.Generator, dtype: DTypeLike) -> Shape:  # noqa: ARG002
        return (int(np.prod(shape)),)

    def forward(self, x: Array, *, training: bool = False) -> Array:  # noqa: ARG002
        self._shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, gradient: Array) -> Array:
        return gradient.reshape(self._shape)


class Dropout(Layer):
    """While training, each value is zero with probability `rate`, and otherwise x / (1 - rate): the mean stays.

    Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014; Goodfellow et al.,
    7.12. dL/dx is dL/dy under the same mask. Any shape.
    """

    def __init__(self, rate: float) -> None:
        """`rate`: 0 <= rate < 1."""
        super().__init__()
        self.rate = rate

    def forward(self, x: Array, *, training: bool = False) -> Array:
        if not training:
            return x
        mask = self._mask = self._buffer("mask", x.shape, x.dtype)
        drawn = self._buffer("drawn", x.shape, np.float32)
        self.rng.random(out=drawn, dtype=np.float32)
        np.multiply(drawn >= self.rate, x.dtype.type(1 / (1 - self.rate)), out=mask)
        return np.multiply(x, mask, out=self._buffer("y", x.shape, x.dtype))

    def backward(self, gradient: Array) -> Array:
        return np.multiply(gradient, self._mask, out=self._buffer("into", gradient.shape, gradient.dtype))


class Rescaling(Layer):
    """y = x * scale + offset, of the network's dtype; x may be pixels as bytes, of any shape. It stands first.

    `scale` and `offset` are numbers, or one number for each channel.
    """

    def __init__(self, scale: ArrayLike, offset: ArrayLike = 0.0) -> None:
        super().__init__()
        self.scale, self.offset = np.asarray(scale), np.asarray(offset)

    def build(self, shape: Shape, rng: np.random.Generator, dtype: DTypeLike) -> Shape:  # noqa: ARG002
        self._scale, self._offset = self.scale.astype(dtype), self.offset.astype(dtype)
        return shape

    def forward(self, x: Array, *, training: bool = False) -> Array:  # noqa: ARG002
        y = self._buffer("y", x.shape, self._scale.dtype)
        np.multiply(x, self._scale, out=y)
        if self._offset.any():
            y += self._offset
        return y

    def backward(self, gradient: Array) -> Array:
        into: Array = gradient * self._scale
        return into
