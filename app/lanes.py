"""How a model runs: in how many lanes at once, each with how many photos; measured, as it differs by network."""

import threading
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.bundle import Bundle
from models.engine import Engine, EngineKind, open_engine

Scheduling = Literal["auto", "parallel", "batch"]

_SECONDS = 0.12
"""How long each way is measured. The start of the service waits for it."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """An engine, how many threads may call it at once, and the most photos of one call."""

    engine: Engine
    count: int
    batch: int

    @property
    def scheduling(self) -> str:
        return "parallel" if self.batch == 1 else "batch"


def open_lanes(bundle: Bundle, kind: EngineKind, threads: int, scheduling: Scheduling, max_batch: int) -> Lanes:
    """Open and warm up a bundle's engine the way that gives the most photos per second on `threads` threads.

    Raises `BundleError` where the bundle cannot be run here.
    """
    single = open_engine(bundle, kind, threads=1)
    if single.kind == "keras":  # uses all cores by itself, and takes one call at a time
        return _warm(Lanes(single, 1, max_batch), bundle)
    parallel = Lanes(single, threads, 1)
    if scheduling == "parallel" or (scheduling == "auto" and threads == 1):
        return _warm(parallel, bundle)
    batched = Lanes(open_engine(bundle, kind, threads=threads), 1, max_batch)
    if scheduling == "batch":
        return _warm(batched, bundle)
    return max(parallel, batched, key=lambda lanes: photos_per_second(lanes, bundle))


def photos_per_second(lanes: Lanes, bundle: Bundle, seconds: float = _SECONDS) -> float:
    """Photos that the lanes predict in a second, all busy."""
    pixels = np.zeros((lanes.batch, *bundle.spec.shape), dtype=np.uint8)
    lanes.engine.predict(pixels)
    counts = [0] * lanes.count
    started = time.perf_counter()

    def work(lane: int) -> None:
        while not counts[lane] or time.perf_counter() < started + seconds:
            lanes.engine.predict(pixels)
            counts[lane] += len(pixels)

    workers = [threading.Thread(target=work, args=(lane,)) for lane in range(lanes.count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - started)


def _warm(lanes: Lanes, bundle: Bundle) -> Lanes:
    photos_per_second(lanes, bundle, seconds=0)
    return lanes
