"""Memory for batches, used again and again."""

import math
import weakref
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray


class Memory:
    """Makes arrays in memory whose last array is gone, together with every view of it, or else in fresh memory.

    Fresh pages cost an augmented batch some of its time: `malloc` gives the memory of a large array that goes back to
    the operating system, and takes it from there for the next one.
    """

    def __init__(self) -> None:
        self._free: defaultdict[int, list[bytearray]] = defaultdict(list)  # by size in bytes

    def empty(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """An array of this shape that nobody else holds, of any values. Any thread may ask."""
        size = math.prod(shape)
        free = self._free[size]
        try:
            block = free.pop()
        except IndexError:
            block = bytearray(size)
        flat = np.frombuffer(block, np.uint8)
        weakref.finalize(flat, free.append, block)  # whatever shows this memory, a tensor too, holds on to `flat`
        return flat.reshape(shape)
