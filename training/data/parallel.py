"""Work on every photo of a data set, on all cores.

Processes, not threads: four threads decode small photos no faster than one (the interpreter's lock is held between the
decoder's calls), four processes three times as fast (`python -m benchmarks.cache`).
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from foodscene.models.terminal import open_console
from foodscene.training.datasets import DatasetError, Sample

T = TypeVar("T")
_CHUNK = 64
_samples: Sequence[Sample] = ()


def each(
    work: Callable[[int, Sample], T],
    samples: Sequence[Sample],
    todo: Sequence[int],
    *,
    title: str,
    workers: int | None = None,
) -> Iterator[tuple[int, T]]:
    """Yield (index, ``work(index, samples[index])``) for every index in `todo`, in order, under a progress bar.

    `work` must be picklable. With `workers` = 1, or few photos, it runs in this process.
    """
    workers = workers or os.cpu_count() or 1
    columns = TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = open_console(stderr=True, markup=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        results = (
            _serial(work, samples, todo)
            if min(workers, len(todo) // _CHUNK) < 2
            else _parallel(work, samples, todo, workers)
        )
        yield from progress.track(results, total=len(todo))


def _serial(
    work: Callable[[int, Sample], T], samples: Sequence[Sample], todo: Sequence[int]
) -> Iterator[tuple[int, T]]:
    for index in todo:
        yield index, work(index, samples[index])


def _parallel(
    work: Callable[[int, Sample], T], samples: Sequence[Sample], todo: Sequence[int], workers: int
) -> Iterator[tuple[int, T]]:
    chunks = [todo[start : start + _CHUNK] for start in range(0, len(todo), _CHUNK)]
    # Not forked from this process: in a fork of one in which Keras runs threads, locks may stay held for ever.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    # Imported once, not by each worker.
    context.set_forkserver_preload(["__main__", "foodscene.training.data.cache", "foodscene.training.data.survey"])
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(samples,))
    try:
        for chunk, results in zip(chunks, pool.map(_chunk, [work] * len(chunks), chunks), strict=True):
            yield from zip(chunk, results, strict=True)
    except BrokenProcessPool as error:
        raise DatasetError(
            "A process that decodes photos was killed, perhaps for want of memory. Start again. "
            '(A script that comes here must do so below `if __name__ == "__main__":`.)'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(samples: Sequence[Sample]) -> None:
    global _samples  # noqa: PLW0603  # sent once per process, not once per task
    _samples = samples
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle


def _chunk(work: Callable[[int, Sample], T], indices: Sequence[int]) -> list[T]:
    return [work(index, _samples[index]) for index in indices]
