"""How a model runs: in how many sessions at once, each with how many photos; measured, as it differs by network."""

import threading
import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from foodscene.models.bundle import Bundle
from foodscene.models.engine import Engine, EngineKind, open_engine

Scheduling = Literal["auto", "parallel", "batch"]

_SECONDS, _ROUNDS = 0.06, 2
"""How long each way is measured, in turn with the other. The start of the service waits for it."""

_WARM_UP = 2
"""Runs of each thread before its speed counts."""

_CLEARLY = 1.1
"""How many times as fast batches must be: they make photos wait for each other, and what is measured wavers."""

_AROUND = 0.0013
"""Seconds of a core that a small photo takes around its engine: HTTP, decoding, and handing it from thread to thread.

Where every core has a session that is always busy, a thread that holds Python's global lock loses its core to a
session, and then all wait. Measured with `benchmarks.serving` on four cores: three sessions for a network of 4 ms serve
0.89 of what decoding and the engine alone can do, four sessions 0.76.
"""


@dataclass(frozen=True, slots=True)
class Sessions:
    """An engine, how many threads may call it at once, and the most photos of one call."""

    engine: Engine
    count: int
    batch: int

    @property
    def scheduling(self) -> str:
        return "parallel" if self.batch == 1 else "batch"


def open_sessions(bundle: Bundle, kind: EngineKind, threads: int, scheduling: Scheduling, max_batch: int) -> Sessions:
    """Open and warm up a bundle's engine the way that gives the most photos per second on `threads` threads.

    Raises `BundleError` where the bundle cannot be run here.
    """
    single = open_engine(bundle, kind, threads=1)
    if single.kind == "keras":  # uses all cores by itself, and takes one call at a time
        return _warm(Sessions(single, 1, max_batch), bundle)
    parallel = Sessions(single, threads, 1)
    if scheduling == "parallel" or (scheduling == "auto" and threads == 1):
        return _beside_the_rest(parallel, photos_per_second(parallel, bundle))
    batched = Sessions(open_engine(bundle, kind, threads=threads), 1, max_batch)
    if scheduling == "batch":
        return _warm(batched, bundle)
    speeds = [(photos_per_second(parallel, bundle), photos_per_second(batched, bundle)) for _ in range(_ROUNDS)]
    one_by_one, together = (max(measured) for measured in zip(*speeds, strict=True))
    return batched if together > one_by_one * _CLEARLY else _beside_the_rest(parallel, one_by_one)


def _beside_the_rest(sessions: Sessions, rate: float) -> Sessions:
    """As many of the sessions, which together predict `rate` photos per second, as leave cores for the rest."""
    seconds = sessions.count / rate
    return replace(sessions, count=max(1, round(sessions.count * seconds / (seconds + _AROUND))))


def photos_per_second(sessions: Sessions, bundle: Bundle, seconds: float = _SECONDS) -> float:
    """Photos that the sessions predict in a second, all busy."""
    pixels = np.zeros((sessions.batch, *bundle.spec.shape), dtype=np.uint8)
    speeds = [0.0] * sessions.count
    warm = threading.Barrier(sessions.count)

    def work(session: int) -> None:
        # A thread's first photos take longer: it has no memory of its own yet, and its core may run slower.
        for _ in range(_WARM_UP):
            sessions.engine.predict(pixels)
        warm.wait()
        count, started = 0, time.perf_counter()
        while not count or time.perf_counter() < started + seconds:
            sessions.engine.predict(pixels)
            count += len(pixels)
        speeds[session] = count / (time.perf_counter() - started)

    workers = [threading.Thread(target=work, args=(session,)) for session in range(sessions.count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(speeds)


def _warm(sessions: Sessions, bundle: Bundle) -> Sessions:
    photos_per_second(sessions, bundle, seconds=0)
    return sessions
