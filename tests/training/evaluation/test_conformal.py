"""Sets of labels that hold the right one as often as is promised."""

import numpy as np
from numpy.typing import NDArray

from foodscene.models.prediction import label_set
from foodscene.training.evaluation import conformal


def drawn(count: int, seed: int, sharp: float = 2.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities of ten labels, and right labels that they are honest about where `sharp` is 2."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, 10))

    def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
        powers = np.exp(values)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    targets = (softmax(2 * logits).cumsum(axis=1) < rng.random((count, 1))).sum(axis=1).clip(max=9)
    return softmax(sharp * logits).astype(np.float32), targets


def test_the_promise_is_kept_whatever_the_network_is_worth() -> None:
    for sharp in (0.5, 2.0, 6.0):
        promised = conformal.fit([drawn(2000, 0, sharp)])
        assert promised is not None
        assert promised.photos == 2000
        measured = conformal.measure(*drawn(20_000, 1, sharp), promised.quantile)
        assert 0.94 < measured.coverage.value < 0.965
        assert 1 < measured.size < 10


def test_the_largest_quantile_of_several_data_sets_counts() -> None:
    easy, hard = drawn(500, 0, 4.0), drawn(500, 1, 1.0)
    both, one = conformal.fit([easy, hard]), conformal.fit([hard])
    alone = conformal.fit([easy])
    assert both is not None
    assert one is not None
    assert alone is not None
    assert both.quantile == max(one.quantile, alone.quantile)


def test_of_fewer_than_nineteen_photos_nothing_is_promised() -> None:
    assert conformal.fit([drawn(18, 0)]) is None
    assert conformal.fit([drawn(500, 1), drawn(18, 0)]) is None
    assert conformal.fit([]) is None
    probabilities, targets = drawn(19, 0)
    promised = conformal.fit([(probabilities, targets)])
    assert promised is not None
    assert promised.quantile >= 1 - probabilities[np.arange(19), targets].min(), "all 19 of them"


def test_a_set_is_never_empty_and_begins_with_the_most_probable() -> None:
    probabilities = np.array([0.3, 0.4, 0.2, 0.1], np.float32)
    assert label_set(probabilities, "abcd", 0.75) == ["b", "a"]
    assert label_set(probabilities, "abcd", 0.1) == ["b"]
    assert conformal.measure(probabilities[None], np.array([1]), 0.1).size == 1
