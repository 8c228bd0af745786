import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from foodscene.training.scratch import threads
from foodscene.training.scratch.threads import each, one_core_a_product

PARTS = [slice(0, 2), slice(2, 4), slice(4, 5)]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "CORES", 2)


def blas_threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_results_come_in_the_parts_order() -> None:
    values = np.arange(5)
    assert [part.tolist() for part in each(lambda part: values[part], PARTS)] == [[0, 1], [2, 3], [4]]


def test_parts_are_worked_on_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=10)
    assert each(lambda part: meeting.wait() >= 0, PARTS[:2]) == [True, True]


def test_products_keep_to_one_core_within_and_only_there() -> None:
    before = blas_threads()
    assert each(lambda part: blas_threads(), PARTS) == [{1}] * 3
    with one_core_a_product():
        assert blas_threads() == {1}
        each(lambda part: None, PARTS)
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_an_error_in_a_part_is_raised() -> None:
    def work(part: slice) -> None:
        if part.start == 2:
            raise ValueError("the second part")

    with pytest.raises(ValueError, match="the second part"):
        each(work, PARTS)
