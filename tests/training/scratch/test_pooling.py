from typing import Literal

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from foodscene.training.scratch.pooling import AveragePooling, GlobalAveragePooling, L2Pooling, MaxPooling
from tests.training.scratch.gradients import built, check, same_as_keras

SIDES = st.integers(1, 7)
SMALL = st.integers(1, 3)
WINDOWS = st.integers(1, 4)
PADDING = st.sampled_from(["same", "valid"])


@pytest.mark.parametrize("kind", [MaxPooling, AveragePooling])
@settings(max_examples=25, deadline=None)
@given(SMALL, SIDES, SIDES, SMALL, WINDOWS, WINDOWS, PADDING)
def test_derivatives_are_measured_and_those_of_keras(
    kind: type[MaxPooling] | type[AveragePooling],
    n: int,
    height: int,
    width: int,
    channels: int,
    window: int,
    stride: int,
    padding: Literal["same", "valid"],
) -> None:
    assume(padding == "same" or window <= min(height, width))
    x = np.random.default_rng(0).normal(0, 1, (n, height, width, channels))
    layer = kind(window, stride, padding)
    check(built(layer, x.shape[1:]), x)
    same_as_keras(kind(window, stride, padding), x, training=True)


@settings(max_examples=10, deadline=None)
@given(SMALL, SIDES, SIDES, SMALL)
def test_the_mean_of_all_places(n: int, height: int, width: int, channels: int) -> None:
    x = np.random.default_rng(0).normal(0, 1, (n, height, width, channels))
    check(built(GlobalAveragePooling(), x.shape[1:]), x)
    same_as_keras(GlobalAveragePooling(), x)


def test_of_equal_values_the_first_is_meant() -> None:
    x = np.zeros((1, 2, 2, 1))
    layer = built(MaxPooling(2), x.shape[1:])
    layer.forward(x, training=True)
    assert layer.backward(np.ones((1, 1, 1, 1))).ravel().tolist() == [1, 0, 0, 0]


def test_a_smaller_batch_after_a_larger_one() -> None:
    x = np.random.default_rng(0).normal(0, 1, (4, 5, 5, 2))
    layer = built(MaxPooling(3, 2, "same"), x.shape[1:])
    whole = layer.forward(x, training=True).copy()
    np.testing.assert_array_equal(layer.forward(x[1:2], training=True), whole[1:2])
    assert layer.backward(np.ones_like(whole[:1])).shape == (1, 5, 5, 2)


@settings(max_examples=20, deadline=None)
@given(SMALL, SIDES, SIDES, SMALL, WINDOWS, WINDOWS, PADDING)
def test_the_root_of_the_squares_is_measured_and_that_of_tensorflow(
    n: int, height: int, width: int, channels: int, window: int, stride: int, padding: Literal["same", "valid"]
) -> None:
    assume(padding == "same" or window <= min(height, width))
    x = np.random.default_rng(0).normal(0, 1, (n, height, width, channels))
    layer = built(L2Pooling(window, stride, padding), x.shape[1:])
    kernel = np.ones((window, window, channels, 1))
    theirs = tf.sqrt(tf.nn.depthwise_conv2d(x * x, kernel, [1, stride, stride, 1], padding.upper()))
    np.testing.assert_allclose(layer.forward(x), theirs, rtol=1e-9)
    check(layer, x)


def test_where_all_is_zero_nothing_is_derived() -> None:
    x = np.zeros((1, 2, 2, 1))
    layer = built(L2Pooling(2), x.shape[1:])
    layer.forward(x, training=True)
    assert layer.backward(np.ones((1, 1, 1, 1))).ravel().tolist() == [0, 0, 0, 0]
