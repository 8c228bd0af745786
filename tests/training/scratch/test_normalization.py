import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from foodscene.training.scratch.normalization import BatchNorm
from tests.training.scratch.gradients import built, check, same_as_keras


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 4), st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_derivatives(n: int, shape: list[int]) -> None:
    x = np.random.default_rng(0).normal(0.5, 2, (n, *shape))
    check(built(BatchNorm(), tuple(shape)), x)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 4), st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_it_is_that_of_keras(n: int, shape: list[int]) -> None:
    same_as_keras(BatchNorm(), np.random.default_rng(0).normal(0.5, 2, (n, *shape)), training=True)


def test_afterwards_it_takes_the_running_averages() -> None:
    layer = built(BatchNorm(), (2,))
    (gamma, beta), (mean, variance) = layer.parameters, layer.statistics
    x = np.random.default_rng(0).normal(0, 1, (4, 2))
    np.testing.assert_allclose(layer.forward(x), gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta)
