"""ZCA whitening matrices in bounded memory: whole for small photos, of low rank for others.

ImageDataGenerator takes the singular value decomposition X.T = U diag(s) V of the n centred photos, all of them in
memory, and whitens with U diag(sqrt(n) / (s + epsilon)) U.T. Here U and s are the eigenvectors of X.T X and the roots
of its eigenvalues, and photos are only ever read in chunks.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Chunks = Callable[[], Iterator[NDArray[np.float32]]]
"""Starts a pass over the centred photos: yields float32 arrays of shape (some, features)."""

_PASSES = 20
_SETTLED = 1e-4


def whole(chunks: Chunks, epsilon: float) -> NDArray[np.float32]:
    """ImageDataGenerator's own matrix, of shape (features, features); one pass.

    Directions in which the photos do not vary at all are dropped, where the original divides rounding errors by others.
    """
    count, products = 0, np.zeros((1, 1))
    for chunk in chunks():
        exact = chunk.astype(np.float64)
        products = products + exact.T @ exact
        count += len(chunk)
    energy, directions = np.linalg.eigh(products)
    half = _half(energy, directions, count, epsilon)
    return (half @ half.T).astype(np.float32)


def low_rank(chunks: Chunks, epsilon: float, rank: int) -> NDArray[np.float32]:
    """H of shape (features, at most `rank`): H @ H.T is the part of the matrix in the directions of largest variance.

    Randomized subspace iteration (Halko, Martinsson and Tropp 2011, section 4.5): a pass over the photos turns the
    subspace towards those directions, until the variance caught in it has settled. Memory: three such matrices.
    """
    features = next(chunks()).shape[1]
    width = min(features, rank + max(10, rank // 5))
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((features, width)))[0]
    caught = 0.0
    for _ in range(_PASSES):
        count, turned = 0, np.zeros((features, width))
        for chunk in chunks():
            exact = chunk.astype(np.float64)
            turned += exact.T @ (exact @ basis)
            count += len(chunk)
        inner = basis.T @ turned
        energy, rotation = np.linalg.eigh((inner + inner.T) / 2)
        before, caught = caught, energy[-rank:].sum()
        if caught - before <= _SETTLED * caught:
            break
        basis = np.linalg.qr(turned)[0]
    directions = basis @ rotation[:, -rank:]
    return _half(energy[-rank:], directions, count, epsilon).astype(np.float32)


def _half(
    energy: NDArray[np.float64], directions: NDArray[np.float64], count: int, epsilon: float
) -> NDArray[np.float64]:
    """`directions` that carry any energy, each times the root of its factor in the whitening matrix."""
    kept = energy > energy[-1] * len(energy) * np.finfo(np.float64).eps
    factors = np.sqrt(count) / (np.sqrt(energy[kept]) + epsilon)
    half: NDArray[np.float64] = directions[:, kept] * np.sqrt(factors)
    return half
