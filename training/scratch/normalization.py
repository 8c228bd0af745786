"""Batch normalization."""

import numpy as np
from numpy.typing import DTypeLike

from foodscene.training.scratch.layer import Array, Layer, Shape


class BatchNorm(Layer):
    """y = gamma z + beta, z = (x - mean) / sqrt(variance + epsilon), for each channel: (n, ..., channels) to the same.

    Ioffe and Szegedy, "Batch Normalization", 2015; Goodfellow et al., 8.7.1. While training, mean and variance are
    those of the batch, over all axes but the last, and running averages of them are kept, `momentum` of the old value
    at each step. Otherwise these averages are taken. With m values of a channel, and g = dL/dy:

        dL/dgamma = sum g z,  dL/dbeta = sum g,
        dL/dx = gamma / sqrt(variance + epsilon) (g - dL/dbeta / m - z dL/dgamma / m).
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, shape: Shape, rng: np.random.Generator, dtype: DTypeLike) -> Shape:  # noqa: ARG002
        ones, zeros = np.ones(shape[-1:], dtype), np.zeros(shape[-1:], dtype)
        self._own([ones, zeros], [zeros.copy(), ones.copy()])
        return shape

    def forward(self, x: Array, *, training: bool = False) -> Array:
        (gamma, beta), (mean, variance) = self.parameters, self.statistics
        if training:
            axes = tuple(range(x.ndim - 1))
            now = x.mean(axes)
            centred = x - now
            spread = (centred * centred).mean(axes)
            mean += (1 - self.momentum) * (now - mean)
            variance += (1 - self.momentum) * (spread - variance)
        else:
            centred, spread = x - mean, variance
        self._inverse = 1 / np.sqrt(spread + x.dtype.type(self.epsilon))
        self._z = centred * self._inverse
        y: Array = gamma * self._z + beta
        return y

    def backward(self, gradient: Array) -> Array:
        axes = tuple(range(gradient.ndim - 1))
        for_gamma, for_beta = self.gradients
        np.sum(gradient * self._z, axis=axes, out=for_gamma)
        np.sum(gradient, axis=axes, out=for_beta)
        count = gradient.size // gradient.shape[-1]
        inner: Array = gradient - for_beta / count - self._z * (for_gamma / count)
        inner *= self.parameters[0] * self._inverse
        return inner
