"""Pooling: neighbouring values of a picture become one."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from foodscene.training.scratch.convolution import Padding, places
from foodscene.training.scratch.layer import Array, Layer, Shape


class _Pooling(Layer):
    """A window moves over x (n, height, width, channels) by `stride`, which is its own size where none is given."""

    _outside = 0.0

    def __init__(self, window: int = 2, stride: int | None = None, padding: Padding = "valid") -> None:
        super().__init__()
        self.window, self.stride, self.padding = window, stride or window, padding

    def build(self, shape: Shape, rng: np.random.Generator, dtype: DTypeLike) -> Shape:  # noqa: ARG002
        self._shape = shape
        sides = [places(size, self.window, self.stride, self.padding) for size in shape[:2]]
        (self._rows, self._top), (self._columns, self._left) = sides
        self._sides = [
            max((count - 1) * self.stride + self.window, before + size)
            for (count, before), size in zip(sides, shape[:2], strict=True)
        ]
        return self._rows, self._columns, shape[2]

    def _padded(self, x: Array) -> Array:
        """The picture with `_outside` around it, as far as windows reach over its border."""
        if x.shape[1:3] == tuple(self._sides):
            return x
        padded = self._buffer("padded", (len(x), *self._sides, x.shape[3]), x.dtype)
        padded[:] = self._outside
        self._inside(padded)[:] = x
        return padded

    def _inside(self, padded: Array) -> Array:
        return padded[:, self._top : self._top + self._shape[0], self._left : self._left + self._shape[1]]

    def _summed(self, padded: Array) -> Array:
        """What is under each window, added up."""
        y = self._buffer("y", (len(padded), self._rows, self._columns, padded.shape[3]), padded.dtype)
        y[:] = 0
        for part in self._parts(padded):
            y += part
        return y

    def _spread(self, share: Array) -> Array:
        """dL/dx where each value under a window gets the same share of dL/dy."""
        into = self._zeros(share)
        for part in self._parts(into):
            np.add(part, share, out=part)
        return self._inside(into)

    def _zeros(self, gradient: Array) -> Array:
        """Where dL/dx of the padded picture is to be added up."""
        into = self._buffer("into", (len(gradient), *self._sides, gradient.shape[3]), gradient.dtype)
        into[:] = 0
        return into

    def _parts(self, padded: Array) -> Iterator[Array]:
        """Views (n, rows, columns, channels): what stands at each place within the window, for all windows at once."""
        down, right = (self._rows - 1) * self.stride + 1, (self._columns - 1) * self.stride + 1
        for i in range(self.window):
            for j in range(self.window):
                yield padded[:, i : i + down : self.stride, j : j + right : self.stride]


class MaxPooling(_Pooling):
    """The largest value under the window (Goodfellow et al., 9.3). dL/dy goes to it, or to the first of equal ones."""

    _outside = -np.inf

    def forward(self, x: Array, *, training: bool = False) -> Array:
        y = self._buffer("y", (len(x), self._rows, self._columns, x.shape[3]), x.dtype)
        # Which place within the window it is: a later one takes over where it is larger.
        winner = self._winner = self._buffer("winner", y.shape, np.uint8 if self.window < 16 else np.uint32)
        winner[:] = 0
        for place, part in enumerate(self._parts(self._padded(x))):
            if place == 0:
                y[:] = part
                continue
            if training:
                np.maximum(winner, (part > y) * winner.dtype.type(place), out=winner)
            np.maximum(y, part, out=y)
        return y

    def backward(self, gradient: Array) -> Array:
        into = self._zeros(gradient)
        for place, part in enumerate(self._parts(into)):
            np.add(part, gradient * (self._winner == place), out=part)
        return self._inside(into)


class AveragePooling(_Pooling):
    """The mean of the values under the window, those outside of the picture not counted; dL/dy is shared out alike."""

    def build(self, shape: Shape, rng: np.random.Generator, dtype: DTypeLike) -> Shape:
        out = super().build(shape, rng, dtype)
        within = np.zeros((1, *self._sides, 1), dtype)
        self._inside(within)[:] = 1
        self._counts = self._summed(within).copy()
        return out

    def forward(self, x: Array, *, training: bool = False) -> Array:  # noqa: ARG002
        y = self._summed(self._padded(x))
        y /= self._counts
        return y

    def backward(self, gradient: Array) -> Array:
        return self._spread(gradient / self._counts)


class L2Pooling(_Pooling):
    """y = sqrt(sum of x²) under the window (Goodfellow et al., 9.3); dL/dx = dL/dy x / y, and 0 where y is 0."""

    def forward(self, x: Array, *, training: bool = False) -> Array:  # noqa: ARG002
        self._x, padded = x, self._padded(x)
        y = self._y = self._summed(padded * padded)
        return np.sqrt(y, out=y)

    def backward(self, gradient: Array) -> Array:
        into = self._spread(np.divide(gradient, self._y, out=np.zeros_like(gradient), where=self._y > 0))
        return np.multiply(into, self._x, out=into)


class GlobalAveragePooling(Layer):
    """The mean of each channel over all places: (n, height, width, channels) to (n, channels)."""

    def build(self, shape: Shape, rng: np.random.Generator, dtype: DTypeLike) -> Shape:  # noqa: ARG002
        return shape[-1:]

    def forward(self, x: Array, *, training: bool = False) -> Array:  # noqa: ARG002
        self._shape = x.shape
        return np.asarray(x.mean(axis=(1, 2)))

    def backward(self, gradient: Array) -> Array:
        share = gradient / gradient.dtype.type(self._shape[1] * self._shape[2])
        return np.broadcast_to(share[:, None, None], self._shape)
