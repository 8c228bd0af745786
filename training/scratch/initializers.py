"""How parameters are drawn before training, so that signals neither grow nor die from layer to layer."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many values an output is made of, and how many outputs a value goes into; shape (..., in, out)."""
    places = int(np.prod(shape[:-2]))
    return places * shape[-2], places * shape[-1]


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:  # noqa: ARG001
    """Zero: of biases, where nothing else is said."""
    return np.zeros(shape)


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Uniform over [-0.5, 0.5), whatever the layer's size."""
    return rng.uniform(-0.5, 0.5, shape)


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Variance 2 / (fan in + fan out), uniform (Glorot and Bengio, 2010): for tanh, sigmoid and softmax."""
    limit = np.sqrt(6 / sum(_fans(shape)))
    return rng.uniform(-limit, limit, shape)


def he_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Variance 2 / fan in, uniform (He et al., 2015): for ReLU, which lets half of the signal through."""
    limit = np.sqrt(6 / _fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


def he_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Variance 2 / fan in, normal, cut off at two standard deviations as Keras does it (He et al., 2015)."""
    drawn = rng.standard_normal(shape)
    while (far := np.abs(drawn) > 2).any():
        drawn[far] = rng.standard_normal(int(far.sum()))
    # The normal distribution that is cut off so has this standard deviation.
    return np.asarray(drawn * np.sqrt(2 / _fans(shape)[0]) / 0.87962566103423978)


_ALL: tuple[Draw, ...] = (zeros, uniform, glorot_uniform, he_uniform, he_normal)
INITIALIZERS = {draw.__name__: draw for draw in _ALL}
"""By the names that recipes give them. The fans of all but the first two are those of kernels, shape (..., in, out)."""
