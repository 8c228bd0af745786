import asyncio
import gc
import time
import weakref

import numpy as np
import pytest
from starlette.requests import Request
from starlette.types import Message

from foodscene.app.inference.deadline import Deadline
from foodscene.app.inference.scheduler import Job, Runner
from foodscene.app.inference.sessions import Sessions
from foodscene.app.problems import Problem
from foodscene.app.uploads import ClientGone
from foodscene.models.pixels import InputSpec


def job() -> Job:
    runner = Runner(Sessions(None, 1, 1), InputSpec(8, 8))  # type: ignore[arg-type]
    return Job(runner, b"", asyncio.get_running_loop().create_future(), time.perf_counter())


def request(*messages: Message) -> Request:
    waiting = list(messages)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return Request({"type": "http", "headers": []}, receive)


async def outcome(request: Request | None, seconds: float, answered_after: float | None = None) -> Exception | None:
    waiting = job()
    deadline = Deadline([waiting], request, seconds)
    if answered_after is not None:
        asyncio.get_running_loop().call_later(answered_after, waiting.answer.set_result, np.zeros((1, 2), np.float32))
    await asyncio.wait([waiting.answer])
    deadline.end()
    return deadline.reason


@pytest.mark.parametrize("seconds", [0.02, 0.2])
def test_at_the_deadline_the_jobs_are_given_up(seconds: float) -> None:
    started = time.perf_counter()
    reason = asyncio.run(outcome(request(), seconds))
    assert isinstance(reason, Problem)
    assert reason.kind == "deadline-exceeded"
    assert time.perf_counter() - started >= seconds


def test_when_the_client_goes_away_the_jobs_are_given_up() -> None:
    started = time.perf_counter()
    assert isinstance(asyncio.run(outcome(request({"type": "http.disconnect"}), 30)), ClientGone)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("seconds", [0.01, 0.15])
def test_an_answer_in_time_is_waited_for(seconds: float) -> None:
    assert asyncio.run(outcome(request(), 30, answered_after=seconds)) is None


def test_jobs_that_nobody_waits_for_any_more_are_cancelled() -> None:
    async def leave() -> bool:
        waiting = job()
        Deadline([waiting], None, 30).end()
        return waiting.answer.cancelled()

    assert asyncio.run(leave())


def test_nothing_is_left_of_a_long_wait_before_garbage_is_collected() -> None:
    async def wait() -> weakref.ref[Deadline]:
        waiting = job()
        deadline = Deadline([waiting], request(), 30)
        await asyncio.sleep(0.15)
        deadline.end()
        left = weakref.ref(deadline)
        del deadline
        await asyncio.sleep(0.05)
        return left

    gc.disable()
    try:
        assert asyncio.run(wait())() is None
    finally:
        gc.enable()
