"""A budget that threads share: who wants more than is left waits until others give back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """So much of something, such as memory, for all threads of this process together."""

    def __init__(self, whole: int) -> None:
        self.whole = whole
        self._held = 0
        self._given_back = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def hold(self, part: int) -> Iterator[None]:
        """Hold `part` until the block ends, or all there is if that is less. Turns are kept, so large parts get theirs.

        Do not hold two parts at once: each may wait for the other.
        """
        part = min(part, self.whole)
        with self._turn, self._given_back:
            self._given_back.wait_for(lambda: self._held + part <= self.whole)
            self._held += part
        try:
            yield
        finally:
            with self._given_back:
                self._held -= part
                self._given_back.notify_all()
