import asyncio
import os
import struct
import sys
import threading
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foodscene.app.inference.decoder import Decoder
from foodscene.app.inference.scheduler import Runner, Scheduler
from foodscene.app.inference.sessions import Sessions
from foodscene.app.problems import Problem
from foodscene.models.pixels import Header, InputSpec, PhotoTooLarge, Reading, UnsupportedPhoto

SPEC = InputSpec(4, 4)


class Gate:
    """An engine that waits to be opened, tells mean brightness, and notes the photos of each call."""

    kind = "gate"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.calls: list[int] = []
        self.entered = threading.Semaphore(0)

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return pixels.astype(np.float32)

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        self.calls.append(len(pixels))
        self.entered.release()
        assert self.open.wait(10)
        return pixels.mean(axis=(1, 2, 3), dtype=np.float32)[:, None]


def gray(value: int) -> bytes:
    target = BytesIO()
    Image.new("L", (4, 4), value).save(target, "PNG")
    return target.getvalue()


def run(test: Callable[[Scheduler, Gate], object], *, threads: int = 2, length: int = 100, max_batch: int = 8) -> None:
    async def main() -> None:
        scheduler = Scheduler(threads, length, max_batch, Decoder())
        scheduler.start()
        try:
            await test(scheduler, Gate())
        finally:
            await asyncio.to_thread(scheduler.stop)

    asyncio.run(main())


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("batch", [1, 4])
def test_every_photo_gets_its_own_answer(batch: int) -> None:
    async def test(scheduler: Scheduler, gate: Gate) -> None:
        gate.open.set()
        runner = Runner(Sessions(gate, 2 if batch == 1 else 1, batch), SPEC)
        jobs = scheduler.submit(runner, [gray(value) for value in range(60)])
        answers = await asyncio.gather(*(job.answer for job in jobs))
        assert [float(answer[0, 0]) for answer in answers] == list(range(60))
        assert sum(gate.calls) == 60
        assert max(gate.calls) <= batch
        assert scheduler.depth == 0

    run(test)


def test_a_busy_engine_gathers_a_batch_and_an_idle_one_does_not_wait() -> None:
    async def test(scheduler: Scheduler, gate: Gate) -> None:
        runner = Runner(Sessions(gate, 1, 8), SPEC)
        first = scheduler.submit(runner, [gray(1)])
        await reached(lambda: gate.calls == [1])
        rest = scheduler.submit(runner, [gray(value) for value in range(10)])
        await reached(lambda: len(runner.decoded) == 10)
        gate.open.set()
        await asyncio.gather(*(job.answer for job in first + rest))
        assert gate.calls == [1, 8, 2]

    run(test)


def test_single_photos_run_at_the_same_time() -> None:
    async def test(scheduler: Scheduler, gate: Gate) -> None:
        jobs = scheduler.submit(Runner(Sessions(gate, 3, 1), SPEC), [gray(1)] * 3)
        await reached(lambda: gate.calls == [1, 1, 1])
        gate.open.set()
        await asyncio.gather(*(job.answer for job in jobs))

    run(test, threads=3)


def test_a_full_queue_refuses_at_once_and_whole() -> None:
    async def test(scheduler: Scheduler, gate: Gate) -> None:
        runner = Runner(Sessions(gate, 1, 1), SPEC)
        jobs = scheduler.submit(runner, [gray(1)] * 3)
        with pytest.raises(Problem) as caught:
            scheduler.submit(runner, [gray(1)] * 2)
        assert caught.value.kind == "overloaded"
        assert caught.value.retry_after
        jobs += scheduler.submit(runner, [gray(1)])
        gate.open.set()
        await asyncio.gather(*(job.answer for job in jobs))
        assert sum(gate.calls) == 4

    run(test, length=4)


def test_a_cancelled_photo_frees_its_place_and_is_not_run() -> None:
    async def test(scheduler: Scheduler, gate: Gate) -> None:
        runner = Runner(Sessions(gate, 1, 1), SPEC)
        jobs = scheduler.submit(runner, [gray(1)] * 4)
        await reached(lambda: gate.calls == [1])
        for job in jobs[1:]:
            job.answer.cancel()
        await asyncio.sleep(0)
        assert scheduler.depth == 1
        gate.open.set()
        await jobs[0].answer
        (last,) = scheduler.submit(runner, [gray(7)])
        await last.answer
        assert len(gate.calls) == 2

    run(test, threads=1)


def test_a_bad_photo_and_a_failing_engine_harm_no_other() -> None:
    async def test(scheduler: Scheduler, gate: Gate) -> None:
        gate.open.set()

        class Broken(Gate):
            def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
                raise RuntimeError("out of order")

        broken = scheduler.submit(Runner(Sessions(Broken(), 1, 4), SPEC), [gray(1), gray(2)])
        good = scheduler.submit(Runner(Sessions(gate, 1, 4), SPEC), [b"nothing", gray(3)])
        outcomes = await asyncio.gather(*(job.answer for job in broken + good), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes[:3]] == [RuntimeError, RuntimeError, UnsupportedPhoto]
        assert float(outcomes[3][0, 0]) == 3
        assert scheduler.depth == 0

    run(test)


def test_a_photo_that_the_network_fails_on_is_a_problem_and_harms_no_other() -> None:
    async def test(scheduler: Scheduler, gate: Gate) -> None:
        class Failing(Gate):
            def run(self, pixels: NDArray[np.float32]) -> Outputs:
                outputs = super().run(pixels)
                if (outputs.probabilities == 2).any():
                    raise EngineError("toy: an index is out of range")
                return outputs

        failing = Failing()
        jobs = scheduler.submit(Runner(Sessions(failing, 1, 4), SPEC), [gray(value) for value in (1, 2, 3)])
        await reached(lambda: len(jobs[0].runner.decoded) >= 2)
        failing.open.set()
        outcomes = await asyncio.gather(*(job.answer for job in jobs), return_exceptions=True)
        assert isinstance(outcomes[1], Problem)
        assert (outcomes[1].kind, outcomes[1].status) == ("model-failed", 503)
        assert [float(outcomes[index].probabilities[0, 0]) for index in (0, 2)] == [1, 3]

    run(test, threads=8)


def test_accepted_photos_are_answered_before_the_threads_end() -> None:
    async def main() -> None:
        scheduler = Scheduler(2, 100, 4, Decoder())
        scheduler.start()
        gate = Gate()
        gate.open.set()
        jobs = scheduler.submit(Runner(Sessions(gate, 1, 4), SPEC), [gray(5)] * 30)
        await asyncio.to_thread(scheduler.stop)
        answers = await asyncio.gather(*(job.answer for job in jobs))
        assert len(answers) == 30

    asyncio.run(main())


class Place(Gate):
    """A gate that notes the cores it was run on."""

    def __init__(self) -> None:
        super().__init__()
        self.open.set()
        self.cores: set[int] = set()

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        self.cores = os.sched_getaffinity(0)
        return super().run(pixels)


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs Linux and a core beside the session's"
)
def test_sessions_that_leave_cores_free_and_everything_else_keep_off_each_other() -> None:
    usable = os.sched_getaffinity(0)

    async def test(scheduler: Scheduler, _: Gate) -> None:
        few, all_cores = Place(), Place()
        (job,) = scheduler.submit(Runner(Sessions(few, 1, 1), SPEC), [gray(1)])
        await job.answer
        assert len(few.cores) == 1
        assert os.sched_getaffinity(0) == usable - few.cores
        assert await asyncio.to_thread(os.sched_getaffinity, 0) == usable
        (job,) = scheduler.submit(Runner(Sessions(all_cores, 1, 8), SPEC), [gray(1)])
        await job.answer
        assert all_cores.cores == os.sched_getaffinity(0) == usable
        (job,) = scheduler.submit(Runner(Sessions(few, 1, 1), SPEC), [gray(1)])
        await job.answer
        assert os.sched_getaffinity(0) == usable - few.cores

    run(test, threads=len(usable))
    assert os.sched_getaffinity(0) == usable


def heavy(name: int) -> bytes:
    """A photo of 25 megapixels, as far as its header tells."""
    target = BytesIO()
    Image.new("1", (8, 8)).save(target, "PNG")
    photo = target.getvalue().replace(struct.pack(">II", 8, 8), struct.pack(">II", 5000, 5000 + name))
    return photo.replace(b"\1\0\0\0\0", b"\x08\2\0\0\0", 1)


class Stuck(Decoder):
    """A decoder whose helpers never come back before they are let go."""

    def __init__(self) -> None:
        super().__init__(helpers=2)
        self.go = threading.Event()
        self.stuck = threading.Semaphore(0)

    def read(self, photo: bytes, header: Header, spec: InputSpec) -> Reading:
        if header.heavy:
            self.stuck.release()
            assert self.go.wait(20)
            raise PhotoTooLarge("It takes too long.")
        return super().read(photo, header, spec)


def test_photos_that_are_stuck_in_a_decoder_hold_no_others() -> None:
    async def main() -> None:
        decoder = Stuck()
        scheduler = Scheduler(2, 100, 4, decoder)
        scheduler.start()
        gate = Gate()
        gate.open.set()
        runner = Runner(Sessions(gate, 1, 4), SPEC)
        stuck = scheduler.submit(runner, [heavy(number) for number in range(20)])
        for _ in range(2):
            await asyncio.to_thread(decoder.stuck.acquire)
        for photo in (gray(7), gray(7) + bytes(300_000)):  # one that looks small, one that looks large
            jobs = scheduler.submit(runner, [photo] * 20)
            async with asyncio.timeout(10):
                answers = await asyncio.gather(*(job.answer for job in jobs))
            assert [float(answer[0, 0]) for answer in answers] == [7] * 20
        decoder.go.set()
        refused = await asyncio.gather(*(job.answer for job in stuck), return_exceptions=True)
        assert all(isinstance(error, PhotoTooLarge) for error in refused)
        await asyncio.to_thread(scheduler.stop)

    asyncio.run(main())
