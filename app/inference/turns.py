"""What is done beside answers, in turn: explanations, previews, corrections. Each kind has a queue of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from foodscene.app.problems import Problem


class Turns:
    """One piece of work at a time; at most `length` wait or are worked on. `name` says what they are, for people."""

    def __init__(self, name: str, length: int) -> None:
        self.name, self.length = name, length
        self.depth = 0
        self._turn = asyncio.Lock()

    def refuse_if_full(self) -> None:
        """Raise `Problem` `overloaded` where there is no room."""
        if self.depth >= self.length:
            raise Problem("overloaded", f"{self.depth} {self.name} are waiting already. Try again.", retry_after=2)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn, which lasts until the block ends. Raises as `refuse_if_full` does."""
        self.refuse_if_full()
        self.depth += 1
        try:
            async with self._turn:
                yield
        finally:
            self.depth -= 1
