"""What is measured for Prometheus. With several workers, `/metrics` of any of them answers for all."""

import operator
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Counter("foodscene_requests", "Requests answered.", ["route", "status"])
PROBLEMS = Counter("foodscene_problems", "Problems answered, by the last part of their type.", ["kind"])
PHOTOS = Counter("foodscene_photos", "Photos predicted.", ["model"])
REQUEST_SECONDS = Histogram("foodscene_request_seconds", "From request to answer.", ["route"], buckets=_SECONDS)
STAGE_SECONDS = Histogram(
    "foodscene_stage_seconds",
    "A photo's time in the queue, being decoded, waiting for the engine (wait), and in the engine.",
    ["stage"],
    buckets=_SECONDS,
)
BATCH_PHOTOS = Histogram("foodscene_batch_photos", "Photos in one run of an engine.", buckets=(1, 2, 4, 8, 16, 32, 64))
QUEUE_PHOTOS = Gauge("foodscene_queue_photos", "Photos that wait or are worked on.", multiprocess_mode="livesum")
MODELS = Gauge(
    "foodscene_models", "Bundles, by whether they are in service or refused.", ["state"], multiprocess_mode="livemax"
)

QUEUE, DECODE, WAIT, ENGINE = (STAGE_SECONDS.labels(stage) for stage in ("queue", "decode", "wait", "engine"))


def exposition() -> bytes:
    """All metrics in Prometheus' text format, summed over the workers where there are several."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(_Processes(Path(folder)))
    return generate_latest(registry)


class _Processes(Collector):
    """`process_*` of several workers: memory, seconds and open files of all, the start of the oldest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        together: dict[str, Metric] = {}
        # Each worker writes its gauges into a file of its own, which is removed when it dies.
        for path in self._folder.glob("gauge_livesum_*.db"):
            process = path.stem.rpartition("_")[2]
            for one in ProcessCollector(pid=partial(str, process), registry=None).collect():
                if one.name not in together:
                    together[one.name] = one
                    continue
                theirs = {sample.name: sample.value for sample in one.samples}
                combine = min if one.name == "process_start_time_seconds" else operator.add
                together[one.name].samples = [
                    sample._replace(value=combine(sample.value, theirs[sample.name]))
                    for sample in together[one.name].samples
                ]
        yield from together.values()
