import asyncio
import gc
import time
import weakref

import pytest
from starlette.requests import Request
from starlette.types import Message

from foodscene.app.inference.deadline import Deadline
from foodscene.app.problems import Problem
from foodscene.app.uploads import ClientGone


def request(*messages: Message) -> Request:
    waiting = list(messages)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return Request({"type": "http", "headers": []}, receive)


async def wait(request: Request | None, seconds: float, answered_after: float = 20) -> None:
    async with Deadline(request, seconds):
        await asyncio.sleep(answered_after)


@pytest.mark.parametrize("seconds", [0.02, 0.2])
def test_at_the_deadline_what_is_awaited_is_given_up(seconds: float) -> None:
    started = time.perf_counter()
    with pytest.raises(Problem) as caught:
        asyncio.run(wait(request(), seconds))
    assert caught.value.kind == "deadline-exceeded"
    assert seconds <= time.perf_counter() - started < 5


def test_when_the_client_goes_away_what_is_awaited_is_given_up() -> None:
    started = time.perf_counter()
    with pytest.raises(ClientGone):
        asyncio.run(wait(request({"type": "http.disconnect"}), 30))
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("seconds", [0.01, 0.15])
def test_an_answer_in_time_is_waited_for(seconds: float) -> None:
    asyncio.run(wait(request(), 30, answered_after=seconds))


def test_whoever_else_ends_the_task_is_obeyed() -> None:
    async def end() -> bool:
        task = asyncio.create_task(wait(request(), 30))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(end())


def test_after_the_deadline_the_task_goes_on() -> None:
    async def go_on() -> str:
        try:
            await wait(None, 0.01)
        except Problem:
            await asyncio.sleep(0.01)
        return "gone on"

    assert asyncio.run(go_on()) == "gone on"


def test_nothing_is_left_of_a_long_wait_before_garbage_is_collected() -> None:
    async def wait() -> weakref.ref[Deadline]:
        deadline = Deadline(request(), 30)
        async with deadline:
            await asyncio.sleep(0.15)
        left = weakref.ref(deadline)
        del deadline
        await asyncio.sleep(0.05)
        return left

    gc.disable()
    try:
        assert asyncio.run(wait())() is None
    finally:
        gc.enable()
