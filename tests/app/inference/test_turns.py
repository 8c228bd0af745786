import asyncio

import pytest

from foodscene.app.inference.turns import Turns
from foodscene.app.problems import Problem


def test_one_works_some_wait_and_more_are_refused() -> None:
    async def work() -> list[str]:
        turns, done = Turns("previews", 2), asyncio.Event()
        seen: list[str] = []

        async def one(name: str) -> None:
            async with turns.turn():
                seen.append(f"{name} begins")
                await done.wait()
                seen.append(f"{name} ends")

        first, second = asyncio.create_task(one("first")), asyncio.create_task(one("second"))
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="2 previews are waiting"):
            await one("third")
        done.set()
        await asyncio.gather(first, second)
        await one("third")
        assert turns.depth == 0
        return seen

    assert asyncio.run(work()) == [
        f"{name} {does}" for name in ("first", "second", "third") for does in ("begins", "ends")
    ]


def test_who_does_not_wait_any_more_frees_the_place() -> None:
    async def leave() -> int:
        turns = Turns("previews", 2)
        async with turns.turn():
            waiting = asyncio.create_task(turns.turn().__aenter__())
            await asyncio.sleep(0)
            assert turns.depth == 2
            waiting.cancel()
            await asyncio.wait([waiting])
            return turns.depth

    assert asyncio.run(leave()) == 1
