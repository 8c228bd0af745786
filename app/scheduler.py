"""The scheduler: a bounded queue, and the threads that decode photos and run the models.

Two ways, chosen for each model by measuring (`lanes.py`): a small network runs fastest when every thread decodes a
photo and runs it through a single-threaded engine; a large one when one thread at a time gives the engine, which uses
all cores, whatever has been decoded since the last run. Nothing ever waits for company: an idle engine runs one photo.
"""

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from app import metrics
from app.lanes import Lanes
from app.problems import Problem
from models.pixels import InputSpec, read

_NICENESS = 10

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Runner:
    """A model as the scheduler sees it: its engine's lanes, and the photos that are decoded and wait for one."""

    lanes: Lanes
    spec: InputSpec
    decoded: deque["Job"] = field(default_factory=deque)
    free: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.free = threading.Semaphore(self.lanes.count)


@dataclass(slots=True, eq=False)
class Job:
    """A photo, as bytes or as pixels of shape (n, height, width, channels), on its way through one model.

    `answer` becomes probabilities of shape (n, classes). The times are `time.perf_counter()`'s, in seconds.
    """

    runner: Runner
    photo: bytes | Pixels
    answer: asyncio.Future[Probabilities]
    queued: float
    taken: float = 0
    decoded: float = 0


class Scheduler:
    """Runs jobs on `threads` threads. At most `length` photos wait or are worked on; beyond, `submit` refuses."""

    def __init__(self, threads: int, length: int, max_batch: int, max_pixels: int) -> None:
        self.threads, self.length, self.max_batch, self.max_pixels = threads, length, max_batch, max_pixels
        self.depth = 0
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._workers = [threading.Thread(target=self._work, name=f"photos-{n}", daemon=True) for n in range(threads)]
        self._pace = 0.0

    def start(self) -> None:
        """Start the threads. Call it in the event loop that submits jobs."""
        self._loop = asyncio.get_running_loop()
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """End the threads, after the jobs that were accepted."""
        for _ in self._workers:
            self._queue.put(None)
        for worker in self._workers:
            worker.join()

    def submit(self, runner: Runner, photos: Sequence[bytes | Pixels]) -> list[Job]:
        """Queue photos, all or none. Raises `Problem` `overloaded` where there is no room for all of them.

        A job whose `answer` is cancelled frees its place at once and is not worked on any more.
        """
        self.refuse_if_full(len(photos))
        self.depth += len(photos)
        now = time.perf_counter()
        jobs = []
        for photo in photos:
            job = Job(runner, photo, self._loop.create_future(), now)
            job.answer.add_done_callback(self._leave)
            jobs.append(job)
            self._queue.put(job)
        metrics.QUEUE_PHOTOS.inc(len(jobs))
        return jobs

    def refuse_if_full(self, photos: int = 1) -> None:
        """Raise `Problem` `overloaded` where there is no room for so many photos."""
        if self.depth + photos > self.length:
            wait = max(1, round(self.depth * self._pace / self.threads))
            raise Problem("overloaded", f"{self.depth} photos are waiting already. Try again.", retry_after=wait)

    def _leave(self, _: asyncio.Future[Probabilities]) -> None:
        self.depth -= 1
        metrics.QUEUE_PHOTOS.dec()

    def _work(self) -> None:
        _yield_to_the_event_loop()
        while (job := self._queue.get()) is not None:
            if job.answer.cancelled():
                job.photo = b""
                continue
            job.taken = time.perf_counter()
            try:
                if isinstance(job.photo, bytes):
                    job.photo = read(job.photo, job.runner.spec, max_pixels=self.max_pixels)[None]
            except Exception as error:  # noqa: BLE001 - whoever waits for the answer deals with it
                self._loop.call_soon_threadsafe(_fail, job, error)
                continue
            job.decoded = time.perf_counter()
            job.runner.decoded.append(job)
            self._run(job.runner)
            del job  # or this thread would hold the photo until the next one comes

    def _run(self, runner: Runner) -> None:
        """Run what is decoded as long as there is some and a lane is free; else whoever holds the lane will run it."""
        while runner.decoded and runner.free.acquire(blocking=False):
            try:
                batch = self._batch(runner)
                if batch:
                    self._predict(runner, batch)
            finally:
                runner.free.release()

    def _batch(self, runner: Runner) -> list[Job]:
        """The next decoded jobs, as many photos as the engine is given at once."""
        most = min(self.max_batch, runner.lanes.batch)
        batch: list[Job] = []
        photos = 0
        while photos < most:
            try:
                job = runner.decoded.popleft()
            except IndexError:
                break
            if not job.answer.cancelled():
                batch.append(job)
                photos += len(job.photo)
        return batch

    def _predict(self, runner: Runner, batch: list[Job]) -> None:
        started = time.perf_counter()
        pixels = [job.photo for job in batch if not isinstance(job.photo, bytes)]
        try:
            answers = runner.lanes.engine.predict(pixels[0] if len(pixels) == 1 else np.concatenate(pixels))
        except Exception as error:  # noqa: BLE001 - whoever waits for the answers deals with it
            for job in batch:
                self._loop.call_soon_threadsafe(_fail, job, error)
            return
        done = time.perf_counter()
        self._pace += 0.05 * ((done - batch[0].taken) / len(batch) - self._pace)
        metrics.BATCH_PHOTOS.observe(len(answers))
        metrics.ENGINE.observe(done - started)
        first = 0
        for job, photos in zip(batch, pixels, strict=True):
            metrics.QUEUE.observe(job.taken - job.queued)
            metrics.DECODE.observe(job.decoded - job.taken)
            metrics.WAIT.observe(started - job.decoded)
            self._loop.call_soon_threadsafe(_answer, job, answers[first : first + len(photos)])
            first += len(photos)


def _answer(job: Job, probabilities: Probabilities) -> None:
    if not job.answer.done():
        job.answer.set_result(probabilities)


def _fail(job: Job, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)


def _yield_to_the_event_loop() -> None:
    """Lower this thread's priority below that of the event loop's thread, which needs a core too.

    Where there are as many threads as cores, the event loop may lose its core while it holds Python's global lock, and
    then no thread goes on. Under twice the load that can be taken, refusals leave several times sooner with this.
    """
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
