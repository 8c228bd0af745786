import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from foodscene.training.augmentation.buffers import Memory


def address(array: np.ndarray) -> int:
    return array.ctypes.data


def test_memory_is_used_again_once_nobody_holds_a_part_of_it() -> None:
    memory = Memory()
    first = memory.empty((4, 5, 6, 3))
    assert first.shape == (4, 5, 6, 3)
    assert first.dtype == np.uint8
    assert first.flags.writeable
    assert first.flags.c_contiguous
    was = address(first)
    part = first[2:, 1][..., 0]
    del first
    gc.collect()
    part[:] = 7
    second = memory.empty((4, 5, 6, 3))
    second[:] = 0
    assert not np.shares_memory(second, part)
    assert (part == 7).all()
    del part
    assert address(memory.empty((4, 5, 6, 3))) == was


def test_a_smaller_array_does_not_come_in_a_larger_one_s_way() -> None:
    memory = Memory()
    small = memory.empty((2, 8))
    del small
    large = memory.empty((4, 8))
    large[:] = 1
    assert large.sum() == 32


def test_no_two_threads_get_the_same_memory() -> None:
    memory = Memory()

    def filled(number: int) -> bool:
        array = memory.empty((50, 50))
        array[:] = number
        return bool((array == number).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(filled, range(250)))
