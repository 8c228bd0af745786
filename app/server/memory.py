"""What is freed goes back to the system, so that the service is small again after many large requests."""

import ctypes
import os
import sys

_LARGE = 4 << 20
"""Bytes from which on a block is a mapping of its own: photos and uploads are, what is needed all the time is not."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


def give_back_freed() -> None:
    """Let glibc's malloc hand large blocks back when they are freed; with other libraries nothing changes.

    Left to itself, it counts blocks of up to 32 MB among the small ones once it has freed one of that size, see
    mallopt(3), and keeps what lies below any that is still in use, in each thread's arena. Who sets
    `MALLOC_MMAP_THRESHOLD_` or `MALLOC_TRIM_THRESHOLD_` has chosen otherwise.
    """
    if sys.platform != "linux" or {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} & os.environ.keys():
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, 2 * _LARGE)  # as malloc chooses it; fixed thresholds leave it at 128 KB, which is slow
