from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from foodscene.training.augmentation import whitening


@pytest.fixture(scope="module")
def photos() -> NDArray[np.float32]:
    """600 centred samples of 60 features whose variances fall as those of photos do."""
    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.standard_normal((60, 60)))[0] * (100 / np.arange(1, 61) ** 1.5)
    return (rng.standard_normal((600, 60)) @ mixing.T).astype(np.float32)


def chunked(photos: NDArray[np.float32]) -> whitening.Chunks:
    def chunks() -> Iterator[NDArray[np.float32]]:
        yield from np.array_split(photos, 7)

    return chunks


def exact(photos: NDArray[np.float32], epsilon: float, rank: int = 60) -> NDArray[np.float64]:
    """ImageDataGenerator's formula."""
    u, s, _ = np.linalg.svd(photos.T.astype(np.float64), full_matrices=False)
    u, s = u[:, :rank], s[:rank]
    return np.asarray(u * (np.sqrt(len(photos)) / (s + epsilon)) @ u.T)


@pytest.mark.parametrize("epsilon", [1e-6, 5.0])
def test_whole_is_the_exact_matrix(photos: NDArray[np.float32], epsilon: float) -> None:
    matrix = whitening.whole(chunked(photos), epsilon)
    wanted = exact(photos, epsilon)
    assert matrix.dtype == np.float32
    assert np.abs(matrix - wanted).max() < 1e-5 * np.abs(wanted).max()
    if epsilon < 1:
        white = photos @ matrix
        assert np.abs(white.T @ white / len(white) - np.eye(60)).max() < 1e-3


def test_low_rank_at_full_rank_is_the_exact_matrix(photos: NDArray[np.float32]) -> None:
    half = whitening.low_rank(chunked(photos), 1e-6, 60)
    wanted = exact(photos, 1e-6)
    assert np.abs(half @ half.T - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_low_rank_is_the_exact_matrix_in_the_directions_of_largest_variance(photos: NDArray[np.float32]) -> None:
    half = whitening.low_rank(chunked(photos), 1e-6, 12)
    assert half.shape == (60, 12)
    wanted = photos @ exact(photos, 1e-6, 12)
    got = photos @ half @ half.T
    assert np.linalg.norm(got - wanted) < 0.02 * np.linalg.norm(wanted)
    # White within the subspace: twelve directions of variance 1.
    variances = np.linalg.eigvalsh(got.T @ got / len(got))
    assert variances[-12:] == pytest.approx(np.ones(12), rel=1e-3)
    assert np.abs(variances[:-12]).max() < 1e-3


def test_directions_without_variance_are_dropped(photos: NDArray[np.float32]) -> None:
    flat = photos.copy()
    flat[:, 50:] = 0
    matrix = whitening.whole(chunked(flat), 1e-6)
    assert np.abs(matrix[50:]).max() == 0
    assert whitening.low_rank(chunked(flat), 1e-6, 58).shape == (60, 50)
