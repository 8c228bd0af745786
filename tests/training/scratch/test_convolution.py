from typing import Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from foodscene.training.scratch.convolution import Convolution, places
from tests.training.scratch.gradients import built, check, same_as_keras

SIDES = st.integers(1, 7)
SMALL = st.integers(1, 3)
SIZES = st.tuples(SMALL, SIDES, SIDES, SMALL)
PADDING = st.sampled_from(["same", "valid"])


@settings(max_examples=30, deadline=None)
@given(SIZES, SMALL, st.integers(1, 5), st.integers(1, 4), PADDING, st.booleans())
def test_derivatives(
    size: tuple[int, int, int, int],
    filters: int,
    kernel: int,
    stride: int,
    padding: Literal["same", "valid"],
    bias: bool,
) -> None:
    assume(padding == "same" or kernel <= min(size[1:3]))
    x = np.random.default_rng(0).normal(0, 1, size)
    layer = Convolution(filters, kernel, stride=stride, padding=padding, bias=bias)
    check(built(layer, x.shape[1:]), x)


@settings(max_examples=30, deadline=None)
@given(SIZES, SMALL, st.integers(1, 5), st.integers(1, 4), PADDING, st.booleans())
def test_it_is_that_of_keras(
    size: tuple[int, int, int, int],
    filters: int,
    kernel: int,
    stride: int,
    padding: Literal["same", "valid"],
    bias: bool,
) -> None:
    assume(padding == "same" or kernel <= min(size[1:3]))
    x = np.random.default_rng(0).normal(0, 1, size)
    same_as_keras(Convolution(filters, kernel, stride=stride, padding=padding, bias=bias), x)


def test_it_is_the_sum_that_its_formula_says() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (2, 6, 5, 3))
    layer = built(Convolution(4, 3, stride=2), x.shape[1:])
    kernel, bias = layer.parameters
    y = layer.forward(x)
    assert y.shape == (2, 3, 3, 4)
    padded = np.pad(x, ((0, 0), (0, 1), (1, 1), (0, 0)))
    for p in range(3):
        for q in range(3):
            window = padded[:, 2 * p : 2 * p + 3, 2 * q : 2 * q + 3]
            np.testing.assert_allclose(y[:, p, q], np.einsum("nijc,ijcf->nf", window, kernel) + bias)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_computes_in_its_own_precision_whatever_the_batch(dtype: type) -> None:
    rng = np.random.default_rng(4)
    layer = Convolution(3, 3)
    layer.build((5, 5, 2), rng, dtype)
    x = rng.normal(0, 1, (6, 5, 5, 2)).astype(dtype)
    whole = layer.forward(x).copy()
    assert whole.dtype == dtype
    np.testing.assert_allclose(layer.forward(x[:2]), whole[:2], rtol=1e-5, atol=1e-6)
    assert layer.backward(whole[:2]).dtype == dtype
    np.testing.assert_allclose(layer.forward(x), whole, rtol=1e-5, atol=1e-6)


def test_a_window_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="5 does not fit into the 4"):
        Convolution(1, 5, padding="valid").build((9, 4, 1), np.random.default_rng(0), np.float32)


def test_places_are_those_of_tensorflow() -> None:
    assert places(28, 5, 1, "same") == (28, 2)
    assert places(7, 3, 2, "same") == (4, 1)
    assert places(6, 3, 2, "same") == (3, 0)
    assert places(7, 3, 2, "valid") == (3, 0)
