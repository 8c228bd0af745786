"""Which cores run what: where a model's sessions leave some free, they and all the rest keep off each other's cores.

A session goes through megabytes of weights for each photo, and so empties the caches of its core. Whatever is moved to
that core next, and the session when it is moved, starts on cold ones. Measured with `benchmarks.serving` on four cores:
kept apart, the service reaches 0.92 of what decoding and the engine alone can do; wherever the kernel puts them, 0.83.
"""

import os
import sys
from collections.abc import Collection
from contextlib import suppress

from foodscene.app.inference.sessions import Sessions


class Cores:
    """The cores of this process, if it has as many as it runs `threads`; else it knows none, and leaves all as it is.

    Only Linux lets a thread be told where to run.
    """

    def __init__(self, threads: int) -> None:
        cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
        self.all = cores if len(cores) == threads else []

    def of(self, sessions: Sessions) -> list[int]:
        """The cores for a model's sessions: one for each, or all where each call of the engine uses all."""
        return self.all[: sessions.count] if sessions.batch == 1 else self.all

    def beside(self, sessions: Sessions) -> list[int]:
        """The cores for everything else: those without a session, or all where every core has one."""
        return self.all[len(self.of(sessions)) :] or self.all


def keep(thread: int, cores: Collection[int]) -> None:
    """Let a thread, by its native id (0 is the caller's), run on these cores alone. No cores: leave it where it is."""
    if cores and sys.platform == "linux":
        with suppress(OSError):  # a container may forbid it, or have lost the cores since
            os.sched_setaffinity(thread, cores)
