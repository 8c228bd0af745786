"""Convolution as products of matrices."""

import threading
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike

from foodscene.training.scratch.initializers import INITIALIZERS
from foodscene.training.scratch.layer import Array, Layer, Shape, ShapeError
from foodscene.training.scratch.threads import each

Padding = Literal["same", "valid"]

_CACHED = 2**20  # bytes of a product that are made before they are used


def places(size: int, window: int, stride: int, padding: Padding) -> tuple[int, int]:
    """How many places a window has along a side of `size` values, and how many zeros stand before the first value.

    "valid": the window stays within the picture. "same": ceil(size / stride) places, and as many zeros as that takes,
    half of them before the picture, rounded down, as in TensorFlow. Raises `ShapeError` where there is no place.
    """
    if padding == "same":
        count = -(-size // stride)
        return count, max((count - 1) * stride + window - size, 0) // 2
    if size < window:
        raise ShapeError(
            f"A window of {window} does not fit into the {size} values that are left of the photo's side. "
            "Take fewer blocks, a smaller kernel or stride, padding same, or larger photos."
        )
    return (size - window) // stride + 1, 0


class Convolution(Layer):
    """y[n, p, q, f] = b[f] + sum over i, j, c of x[n, s p + i - top, s q + j - left, c] K[i, j, c, f].

    x (n, height, width, channels), zero outside of the picture; K (k, k, channels, filters), b (filters,);
    y (n, rows, columns, filters); s is the stride, top and left come from the padding (Goodfellow et al., 9.1, 9.5).

    Im2col (Chellapilla, Puri and Simard, 2006) copies every value of x k² times, so that one product with K as a
    matrix is left. Here a value is copied k times on either side of the product, which then has the same number of
    operations and far less to read and write. Along a row, the k values under a row of the kernel are laid side by
    side: the matrix A. It is multiplied with all k rows of the kernel at once, K' (k channels, k filters), and what
    the rows of the kernel make of k rows of x is added up:

        P = A K',    y[p] = b + sum over i of P[p + i - top, ..., i].

    G lays dL/dy out as P is: G[r, ..., i] = dL/dy[r - i + top]. Then dL/dK' = A^T G, and dL/dA = G K'^T, whose values
    are added up where they came from. With a stride s, s rows of x are taken as one of s times as many channels.
    """

    def __init__(
        self,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: Padding = "same",
        bias: bool = True,
        initializer: str = "glorot_uniform",
        bias_initializer: str = "zeros",
    ) -> None:
        super().__init__()
        self.filters, self.kernel, self.stride, self.padding = filters, kernel, stride, padding
        self.bias, self.initializer, self.bias_initializer = bias, initializer, bias_initializer

    def build(self, shape: Shape, rng: np.random.Generator, dtype: DTypeLike) -> Shape:
        height, width, channels = shape
        k, s = self.kernel, self.stride
        self._rows, top = places(height, k, s, self.padding)
        self._columns, self._left = places(width, k, s, self.padding)
        self._width = max((self._columns - 1) * s + k, self._left + width)  # with the zeros beside the picture
        # Rows in groups of s. Whole groups of zeros above the picture are not multiplied, but skipped.
        self._skipped, self._top = divmod(top, s)
        self._groups = -(-(self._top + height) // s)
        self._taps = -(-k // s)  # groups that a kernel reaches over
        kernel = INITIALIZERS[self.initializer](rng, (k, k, channels, self.filters))
        bias = INITIALIZERS[self.bias_initializer](rng, (self.filters,))
        self._own([kernel.astype(dtype), bias.astype(dtype)][: 1 + self.bias])
        return self._rows, self._columns, self.filters

    def forward(self, x: Array, *, training: bool = False) -> Array:  # noqa: ARG002
        n, height, width, channels = self._shape = x.shape
        k, s, matrix = self.kernel, self.stride, self._matrix()
        padded = self._buffer("padded", (n, self._groups * s, self._width, channels), x.dtype)
        self._a = self._buffer("a", (n, self._groups, self._columns, s, k * channels), x.dtype)
        y = self._buffer("y", (n, self._rows, self._columns, self.filters), x.dtype)

        def work(part: slice) -> None:
            padded[part, self._top : self._top + height, self._left : self._left + width] = x[part]
            lines = padded[part].reshape(-1, self._groups, s, self._width * channels)
            windows = sliding_window_view(lines, k * channels, axis=3)[..., :: s * channels, :]
            a = self._a[part]
            a[:] = windows[..., : self._columns, :].swapaxes(2, 3)
            product = self._laid_out("product", a)
            np.matmul(a.reshape(-1, len(matrix)), matrix, out=product.reshape(-1, matrix.shape[1]))
            y[part] = self.parameters[1] if self.bias else 0
            for tap in range(self._taps):
                into, source = self._overlap(tap)
                y[part, into] += product[:, source, :, tap]

        each(work, self._parts())
        return y

    def backward(self, gradient: Array) -> Array:
        n, height, width, channels = self._shape
        k, s, matrix = self.kernel, self.stride, self._matrix()
        padded = self._buffer("into", (n, self._groups * s, self._width, channels), gradient.dtype)
        lines = padded.reshape(n, self._groups, s, self._width, channels)

        def work(part: slice) -> Array:
            a = self._a[part]
            g = self._laid_out("g", a)
            for tap in range(self._taps):
                source, into = self._overlap(tap)
                g[:, into, :, tap] = gradient[part, source]
            flat = g.reshape(-1, matrix.shape[1])
            if not self.lowest:
                for_a = (flat @ matrix.T).reshape(*a.shape[:-1], k, channels)
                padded[part] = 0
                for column in range(k):
                    reached = slice(column, column + (self._columns - 1) * s + 1, s)
                    lines[part, :, :, reached] += for_a[..., column, :].swapaxes(2, 3)
            return a.reshape(-1, len(matrix)).T @ flat

        for_matrix = sum(each(work, self._parts()), np.zeros_like(matrix))
        rows = for_matrix.reshape(s, k * channels, self._taps, self.filters).transpose(2, 0, 1, 3)
        self.gradients[0][:] = rows.reshape(self._taps * s, k, channels, self.filters)[:k]
        if self.bias:
            np.sum(gradient, axis=(0, 1, 2), out=self.gradients[1])
        return padded[:, self._top : self._top + height, self._left : self._left + width]

    def _parts(self) -> Iterator[slice]:
        """Pictures of the batch, in 1, 2, 4 … equal parts: what is made of one stays in the processor's cache."""
        n, size = len(self._a), self._groups * self._columns * self._taps * self.filters * self._a.itemsize
        several = -(-n >> ((n * size - 1) // _CACHED).bit_length())
        for start in range(0, n, several):
            yield slice(start, start + several)

    def _laid_out(self, name: str, a: Array) -> Array:
        """Memory of this thread for P or G of some pictures. Where no row of y belongs, it is zero and stays so."""
        own = f"{name} of {threading.get_ident()}"
        return self._buffer(own, (*a.shape[:3], self._taps, self.filters), a.dtype)

    def _matrix(self) -> Array:
        """K' (s k channels, taps filters): the kernel's rows in groups of s, filled up with rows of zeros."""
        k, _, channels, filters = self.parameters[0].shape
        rows = np.zeros((self._taps * self.stride, k * channels, filters), self.parameters[0].dtype)
        rows[:k] = self.parameters[0].reshape(k, k * channels, filters)
        return rows.reshape(self._taps, -1, filters).swapaxes(0, 1).reshape(-1, self._taps * filters)

    def _overlap(self, tap: int) -> tuple[slice, slice]:
        """The rows of y that a tap of the kernel adds to, and the groups of rows of x that these come from."""
        shift = tap - self._skipped
        first, last = max(0, -shift), max(0, -shift, min(self._rows, self._groups - shift))
        return slice(first, last), slice(first + shift, last + shift)
