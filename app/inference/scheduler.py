"""The scheduler: a bounded queue, threads that decode photos, and threads that run the models.

Two ways, chosen for each model by measuring (`sessions.py`): a small network runs fastest when every thread runs single
photos through a single-threaded engine; a large one when one thread at a time gives the engine, which uses all cores,
whatever has been decoded since the last run. Nothing ever waits for other photos: an idle engine runs one.

Decoding goes on a few photos ahead, on threads of its own: it asks for Python's global lock many times, an engine
twice. So the cores stay busy with engines while the decoders wait for the lock; a thread that does one after the other
leaves its core idle meanwhile. Small photos have a decoder for every four threads, as each one more is one more that
waits for the lock; large ones, which take long, have as many as there are threads. What is heavy by its header goes on
to threads that do nothing but wait for a helper process, so that no photo holds a decoder for long.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from foodscene.app import metrics
from foodscene.app.inference.affinity import Cores, keep
from foodscene.app.inference.decoder import Decoder
from foodscene.app.inference.sessions import Sessions
from foodscene.app.problems import Problem
from foodscene.models.engine import EngineError, Outputs
from foodscene.models.pixels import InputSpec, refit

_NICENESS_OF_DECODERS, _NICENESS_OF_SESSIONS = 10, 15
_LARGE = 250_000
"""Bytes of a photo whose decoding takes much longer than waiting for a lock."""

Pixels = NDArray[np.uint8]
Prepared = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Runner:
    """A model as the scheduler sees it: its engine's sessions, and the photos that are decoded and wait for one.

    `free` holds one thing for each session that is free, and is a deque as that is faster than a semaphore.
    """

    sessions: Sessions
    spec: InputSpec
    decoded: deque["Job"] = field(default_factory=deque)
    free: deque[None] = field(init=False)

    def __post_init__(self) -> None:
        self.free = deque([None] * self.sessions.count)

    def take_session(self) -> bool:
        """Whether a session was free; it is the caller's now."""
        try:
            self.free.pop()
        except IndexError:
            return False
        return True


@dataclass(slots=True, eq=False)
class Job:
    """A photo, as bytes or as pixels of shape (n, height, width, channels), on its way through one model.

    `answer` becomes what the engine gives for them. The times are `time.perf_counter()`'s, in seconds. `truncated`
    says, once there is an answer, that the photo lacks its end.
    """

    runner: Runner
    photo: bytes | Pixels
    answer: asyncio.Future[Outputs]
    queued: float
    taken: float = 0
    decoded: float = 0
    prepared: Prepared | None = None
    truncated: bool = False


class Scheduler:
    """Runs jobs, `threads` at once. At most `length` photos wait or are worked on; beyond, `submit` refuses."""

    def __init__(self, threads: int, length: int, max_batch: int, decoder: Decoder) -> None:
        self.threads, self.length, self.max_batch, self.decoder = threads, length, max_batch, decoder
        self.depth = 0
        self._small: SimpleQueue[Job | None] = SimpleQueue()
        self._large: SimpleQueue[Job | None] = SimpleQueue()
        self._heavy: SimpleQueue[Job | None] = SimpleQueue()
        self._turns: SimpleQueue[Runner | None] = SimpleQueue()
        self._ahead: SimpleQueue[None] = SimpleQueue()
        for _ in range(threads + max_batch):
            self._ahead.put(None)
        self._small_decoders = self._threads("decode-small", max(1, threads // 4), self._decode, self._small)
        self._large_decoders = self._threads("decode-large", threads, self._decode, self._large)
        self._heavy_decoders = self._threads("decode-heavy", decoder.helpers, self._decode, self._heavy)
        self._sessions = self._threads("session", threads, self._run)
        self._pace = 0.0
        self._cores = Cores(threads)
        self._places = self._cores.all

    def start(self) -> None:
        """Start the threads. Call it in the event loop that submits jobs."""
        self._loop = asyncio.get_running_loop()
        # Its threads would inherit the event loop's cores.
        self._loop.set_default_executor(ThreadPoolExecutor(initializer=keep, initargs=(0, self._cores.all)))
        self._loop_thread = threading.get_native_id()
        for thread in self._small_decoders + self._large_decoders + self._heavy_decoders + self._sessions:
            thread.start()

    def stop(self, seconds: float = 10) -> None:
        """End the threads, after the jobs that were accepted; wait for that, but no longer than so many seconds."""
        until = time.monotonic() + seconds
        for queue, threads in (
            (self._small, self._small_decoders),
            (self._large, self._large_decoders),
            (self._heavy, self._heavy_decoders),
            (self._turns, self._sessions),
        ):
            for _ in threads:
                queue.put(None)
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
        keep(self._loop_thread, self._cores.all)

    def submit(self, runner: Runner, photos: Sequence[bytes | Pixels], *, accepted: bool = False) -> list[Job]:
        """Queue photos, all or none. Raises `Problem` `overloaded` where there is no room for all of them.

        Those that were `accepted` before, and go on to another model, are not refused: they give back a place each.
        A job whose `answer` is cancelled frees its place at once and is not worked on any more.
        """
        if not accepted:
            self.refuse_if_full(len(photos))
        if (places := self._cores.beside(runner.sessions)) != self._places:
            self._make_room(places)
        self.depth += len(photos)
        now = time.perf_counter()
        jobs = []
        for photo in photos:
            job = Job(runner, photo, self._loop.create_future(), now)
            job.answer.add_done_callback(self._leave)
            jobs.append(job)
            large = isinstance(photo, bytes) and len(photo) > _LARGE
            (self._large if large else self._small).put(job)
        metrics.QUEUE_PHOTOS.inc(len(jobs))
        return jobs

    def refuse_if_full(self, photos: int = 1) -> None:
        """Raise `Problem` `overloaded` where there is no room for so many photos."""
        if self.depth + photos > self.length:
            wait = max(1, round(self.depth * self._pace / self.threads))
            raise Problem("overloaded", f"{self.depth} photos are waiting already. Try again.", retry_after=wait)

    def _make_room(self, places: list[int]) -> None:
        """Keep the event loop and the decoders of small photos on these cores; large photos may need all of them."""
        self._places = places
        for thread in (self._loop_thread, *(decoder.native_id for decoder in self._small_decoders)):
            keep(thread or 0, places)

    def _leave(self, _: asyncio.Future[Outputs]) -> None:
        self.depth -= 1
        metrics.QUEUE_PHOTOS.dec()

    @staticmethod
    def _threads(name: str, count: int, target: Callable[..., None], *arguments: object) -> list[threading.Thread]:
        return [threading.Thread(target=target, args=arguments, name=f"{name}-{n}", daemon=True) for n in range(count)]

    def _decode(self, queue: "SimpleQueue[Job | None]") -> None:
        """Take photos from a queue and make them ready for their engine, no further ahead than `_ahead` allows."""
        _yield_to_the_event_loop(_NICENESS_OF_DECODERS)
        while (job := queue.get()) is not None:
            self._ahead.get()
            if job.answer.cancelled():
                self._ahead.put(None)
                continue
            job.taken = time.perf_counter()
            try:
                if not self._prepare(job, heavy=queue is self._heavy):
                    self._ahead.put(None)
                    self._heavy.put(job)
                    del job  # as below
                    continue
            except Exception as error:  # noqa: BLE001 - whoever waits for the answer deals with it
                self._ahead.put(None)
                self._loop.call_soon_threadsafe(_fail, [job], error)
                del job  # as below
                continue
            job.decoded = time.perf_counter()
            job.runner.decoded.append(job)
            if job.runner.free:  # else a session looks for decoded photos after it has been given back
                self._turns.put(job.runner)
            del job  # or this thread would hold the photo until the next one comes

    def _prepare(self, job: Job, *, heavy: bool) -> bool:
        """Decode a photo and make it ready for its engine. Not a heavy one that is not `heavy` here; says whether."""
        photo = job.photo
        if isinstance(photo, bytes):
            header = self.decoder.inspect(photo)
            if header.heavy and not heavy:
                return False
            pixels, job.truncated = self.decoder.read(photo, header, job.runner.spec)
            job.photo = photo = pixels[None]
        elif photo.shape[1:] != job.runner.spec.shape:  # fitted for the model that was asked before
            job.photo = photo = refit(photo, job.runner.spec)
        job.prepared = job.runner.sessions.engine.prepare(photo)
        return True

    def _run(self) -> None:
        """Run what is decoded as long as there is some and a session is free; else whoever holds one will run it."""
        _yield_to_the_event_loop(_NICENESS_OF_SESSIONS)
        cores = self._cores.all
        while (runner := self._turns.get()) is not None:
            if cores != (cores := self._cores.of(runner.sessions)):
                keep(0, cores)
            while runner.decoded and runner.take_session():
                try:
                    if batch := self._batch(runner):
                        self._predict(runner, batch)
                finally:
                    runner.free.append(None)

    def _batch(self, runner: Runner) -> list[Job]:
        """The next decoded jobs, as many photos as the engine is given at once."""
        most = min(self.max_batch, runner.sessions.batch)
        batch: list[Job] = []
        photos = 0
        while photos < most:
            try:
                job = runner.decoded.popleft()
            except IndexError:
                break
            self._ahead.put(None)
            if not job.answer.cancelled():
                batch.append(job)
                photos += len(job.photo)
        return batch

    def _predict(self, runner: Runner, batch: list[Job]) -> None:
        started = time.perf_counter()
        prepared = [job.prepared for job in batch if job.prepared is not None]
        try:
            answers = runner.sessions.engine.run(prepared[0] if len(prepared) == 1 else np.concatenate(prepared))
        except EngineError as error:
            if len(batch) > 1:  # one photo's fault is no other's
                for job in batch:
                    self._predict(runner, [job])
                return
            self._loop.call_soon_threadsafe(_fail, batch, Problem("model-failed", str(error)))
            return
        except Exception as error:  # noqa: BLE001 - whoever waits for the answers deals with it
            self._loop.call_soon_threadsafe(_fail, batch, error)
            return
        done = time.perf_counter()
        self._pace += 0.05 * ((done - batch[0].taken) / len(batch) - self._pace)
        self._loop.call_soon_threadsafe(_answer, batch, answers, started, done)


def _answer(batch: list[Job], answers: Outputs, started: float, done: float) -> None:
    """Hand out the answers of a run. In the event loop, so that no threads wait for each other at the metrics."""
    metrics.BATCH_PHOTOS.observe(len(answers.probabilities))
    metrics.ENGINE.observe(done - started)
    first = 0
    for job in batch:
        metrics.QUEUE.observe(job.taken - job.queued)
        metrics.DECODE.observe(job.decoded - job.taken)
        metrics.WAIT.observe(started - job.decoded)
        job.prepared = None
        if not job.answer.done():
            job.answer.set_result(answers.part(first, len(job.photo)))
        first += len(job.photo)


def _fail(batch: list[Job], error: Exception) -> None:
    cause: BaseException | None = error
    while cause:  # the variables of the frames that it came through would keep the photo until garbage is collected
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__context__
    for job in batch:
        if not job.answer.done():
            job.answer.set_exception(error)


def _yield_to_the_event_loop(niceness: int) -> None:
    """Lower this thread's priority below that of the event loop's thread, which needs a core too.

    Where there are as many threads as cores, the event loop may lose its core while it holds Python's global lock, and
    then no thread goes on. Without this, under twice the load that can be taken, refusals leave many times later.
    Decoders ask for the lock more often than engine threads do, so they come next.
    """
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
