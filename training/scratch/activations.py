"""Activations: what makes a network more than one matrix. Each takes any shape and returns the same."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.training.scratch.layer import Array, Layer


class _Activation(Layer):
    """One function for each value: dL/dx = dL/dy f'(x)."""

    def forward(self, x: Array, *, training: bool = False) -> Array:  # noqa: ARG002
        self._x, self._y = x, self._buffer("y", x.shape, x.dtype)
        self._function(x, self._y)
        return self._y

    def backward(self, gradient: Array) -> Array:
        into = self._buffer("into", gradient.shape, gradient.dtype)
        np.multiply(gradient, self._slope(), out=into)
        return into

    def _function(self, x: Array, y: Array) -> None:
        """Write f(x) to y."""
        raise NotImplementedError

    def _slope(self) -> NDArray[Any]:
        """f'(x) of the last forward."""
        raise NotImplementedError


class Sigmoid(_Activation):
    """y = 1 / (1 + e^-x), f' = y (1 - y) (Goodfellow et al., 3.10). Values 0..1."""

    def _function(self, x: Array, y: Array) -> None:
        # The same function, without a power that overflows.
        np.tanh(x / 2, out=y)
        y += 1
        y /= 2

    def _slope(self) -> Array:
        return self._y * (1 - self._y)


class Tanh(_Activation):
    """y = tanh x, f' = 1 - y² (Goodfellow et al., 6.3.2). Values -1..1."""

    def _function(self, x: Array, y: Array) -> None:
        np.tanh(x, out=y)

    def _slope(self) -> Array:
        return 1 - self._y * self._y


class Arctan(_Activation):
    """y = arctan x, f' = 1 / (1 + x²). Values -π/2..π/2."""

    def _function(self, x: Array, y: Array) -> None:
        np.arctan(x, out=y)

    def _slope(self) -> Array:
        return 1 / (1 + self._x * self._x)


class ReLU(_Activation):
    """y = max(x, 0), f' = 1 where x > 0, else 0 (Goodfellow et al., 6.3.1)."""

    def _function(self, x: Array, y: Array) -> None:
        np.maximum(x, 0, out=y)

    def _slope(self) -> NDArray[np.bool_]:
        return self._y > 0


class Step(_Activation):
    """y = 1 where x >= 0, else 0 (Rosenblatt, 1958), f' = 0: what lies below it learns nothing."""

    def _function(self, x: Array, y: Array) -> None:
        np.greater_equal(x, 0, out=y)

    def _slope(self) -> Array:
        return np.zeros_like(self._y)


class Softmax(Layer):
    """y_i = e^(x_i) / sum_j e^(x_j) over the last axis: positive, of sum 1 (Goodfellow et al., 6.2.2.3).

    dL/dx_i = y_i (dL/dy_i - sum_j dL/dy_j y_j).
    """

    def forward(self, x: Array, *, training: bool = False) -> Array:  # noqa: ARG002
        y = self._y = self._buffer("y", x.shape, x.dtype)
        # A constant taken off all changes nothing; without the largest, no power overflows.
        self.logs = x - x.max(axis=-1, keepdims=True)
        total = np.exp(self.logs, out=y).sum(axis=-1, keepdims=True)
        self.logs -= np.log(total)  # log y, also where y is too small for a number
        y /= total
        return y

    def backward(self, gradient: Array) -> Array:
        into: Array = self._y * (gradient - (gradient * self._y).sum(axis=-1, keepdims=True))
        return into
