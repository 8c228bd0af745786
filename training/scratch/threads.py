"""Work on parts of a batch, shared among the processor's cores."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")

CORES = os.cpu_count() or 1


def each(work: Callable[[slice], Result], parts: Iterable[slice]) -> list[Result]:
    """What `work` makes of each part, in their order. NumPy leaves Python's lock to others while it computes."""
    parts = list(parts)
    if len(parts) == 1 or CORES == 1:
        return [work(part) for part in parts]
    with one_core_a_product():
        return list(_pool().map(work, parts))


def one_core_a_product() -> AbstractContextManager[object]:
    """Within, a product of matrices keeps to the core that asks for it.

    The threads that NumPy's BLAS would take wait for each other at every product, which takes longer than a small
    product itself, and very much longer where other programs use the cores too.
    """
    limited: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limited


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CORES, thread_name_prefix="scratch")
