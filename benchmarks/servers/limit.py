"""The limit: photos decoded and run through the engine on all cores, without HTTP. Prints photos per second and p50.

`python -m benchmarks.servers.limit BUNDLE SECONDS PHOTO…`. The best of two ways counts: threads that each decode and
run a single-threaded session, and one session on all cores whose batch of 8 the threads decode.
"""

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from foodscene.app.settings import usable_cores
from foodscene.models.bundle import read_bundle
from foodscene.models.engine import open_engine
from foodscene.models.pixels import read_photo

_BATCH = 8


def main() -> None:
    bundle, seconds = read_bundle(Path(sys.argv[1])), float(sys.argv[2])
    photos = [Path(photo).read_bytes() for photo in sys.argv[3:]]
    cores = usable_cores()
    single, wide = open_engine(bundle, "onnx", threads=1), open_engine(bundle, "onnx", threads=cores)
    pool = ThreadPoolExecutor(cores)

    def one_by_one(session: int) -> Callable[[], int]:
        mine = islice(cycle(photos), session, None)

        def step() -> int:
            single.predict(read_photo(next(mine), bundle.spec)[None])
            return 1

        return step

    def batches(_: int) -> Callable[[], int]:
        mine = cycle(photos)

        def step() -> int:
            pixels = list(pool.map(lambda photo: read_photo(photo, bundle.spec), islice(mine, _BATCH)))
            wide.predict(np.stack(pixels))
            return _BATCH

        return step

    rates = [_rate(one_by_one, cores, seconds / 2), _rate(batches, 1, seconds / 2)]
    json.dump({"per_second": max(rates), "p50": _latency(one_by_one(0))}, sys.stdout)


def _rate(make: Callable[[int], Callable[[], int]], sessions: int, seconds: float) -> float:
    counts = [0] * sessions
    steps = [make(session) for session in range(sessions)]
    for step in steps:
        step()
    started = time.perf_counter()

    def work(session: int) -> None:
        while time.perf_counter() < started + seconds:
            counts[session] += steps[session]()

    workers = [threading.Thread(target=work, args=(session,)) for session in range(sessions)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - started)


def _latency(step: Callable[[], int], photos: int = 50) -> float:
    """The median time for one photo, alone, in milliseconds."""
    times = []
    for _ in range(photos):
        started = time.perf_counter()
        step()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
