"""The processes of one machine that take trials: as many at a time as are wanted, as long as there are any."""

import multiprocessing
import os
import signal
from multiprocessing.context import SpawnProcess
from pathlib import Path

import optuna

from foodscene.training.sweep import sweep
from foodscene.training.sweep.tickets import SweepError

_FALSE_STARTS = 3
"""Processes that end before they took a trial, one after another: then something is wrong that no other one mends."""


class Workers:
    """Processes that share the cores, each with a log of its own in the sweep's folder."""

    def __init__(self, folder: Path, data: list[Path], weights: str | None, jobs: int) -> None:
        self._folder, self._jobs = folder, jobs
        self._options = (data, weights, max(1, (os.cpu_count() or 1) // jobs))
        self._alive: dict[int, tuple[str, SpawnProcess]] = {}
        self._died: dict[str, int] = {}
        self._false_starts = 0
        # Read by the backends when the processes start: their share of the cores, and no more GPU memory than they use.
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ[name] = str(self._options[2])
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    def look(self, study: optuna.Study) -> bool:
        """Take back the trials of dead processes, here and elsewhere, and start processes for those that nobody has.

        Whether any process is at work here. Raises `SweepError` where they all end before they begin.
        """
        for number, (worker, process) in list(self._alive.items()):
            if not process.is_alive():
                del self._alive[number]
                self._note(study, worker, process.exitcode or 0)
        sweep.recover(self._folder, study, self._died)
        free = [number for number in range(self._jobs) if number not in self._alive]
        for number in free[: sweep.tickets_left(study)]:
            worker = sweep.new_worker()
            log = self._folder / f"worker-{number}.log"
            process = multiprocessing.get_context("spawn").Process(
                target=_work, args=(log, self._folder, *self._options, worker)
            )
            process.start()
            self._alive[number] = worker, process
        return bool(self._alive)

    def stop(self) -> None:
        """End the processes; what they train goes on from its last epoch when somebody searches again."""
        for _, process in self._alive.values():
            process.terminate()
        for _, process in self._alive.values():
            process.join()

    def _note(self, study: optuna.Study, worker: str, code: int) -> None:
        self._died[worker] = code
        began = any(one.user_attrs.get("worker") == worker for one in study.get_trials(deepcopy=False))
        self._false_starts = 0 if began or code in (0, *sweep.FROM_OUTSIDE) else self._false_starts + 1
        if self._false_starts >= _FALSE_STARTS:
            raise SweepError(
                f"The processes that are to train end with code {code} before they begin. {self._folder}/worker-*.log "
                "says more."
            )


def _work(log: Path, folder: Path, data: list[Path], weights: str | None, threads: int, worker: str) -> None:
    """Take trials until none is left, in a process of its own, whose output goes to `log`."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its processes
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sweep.work(folder, data, weights, threads, worker)
