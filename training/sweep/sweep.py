"""The search: many short trainings of one recipe with other settings, in parallel processes, on one machine or several.

A sweep's folder is all its state; whoever sees the folder can join:

space.toml     what is searched
journal.log    Optuna's journal: every trial, its settings and figures
trials.csv     the same as a table
runs/          a run folder for each trial, with its TensorBoard log
best/          the run that trains the best settings for longer, with the bundle

Every trial is a ticket that was written before the first one began: see `tickets`. So processes on several machines
share them without agreeing, and a search ends after exactly as many trials as were asked for. Who holds a ticket keeps
a lock while it lives, whatever its machine is called; the ticket of a dead process is handed out again. The best is
chosen when every trial has ended, and trained by one process.
"""

import csv
import io
import json
import socket
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from foodscene.models.errors import FoodsceneError
from foodscene.models.files import write
from foodscene.training import locks
from foodscene.training.sweep import space as spaces
from foodscene.training.sweep import tickets, trial
from foodscene.training.sweep.space import Space
from foodscene.training.sweep.tickets import SweepError, alone, name_of, open_sweep, study_of, take, trials

__all__ = ["SweepError", "name_of", "open_sweep", "study_of", "take", "trials"]

_BEST_LOCK = ".best.lock"
_KILLS = 5
"""How often a trial may be killed from outside without an epoch more, before it counts as failed: for want of memory,
say, which the system ends the same way."""
FROM_OUTSIDE = (-9, -15)
"""Exit codes of processes that somebody else ended: by SIGKILL, by SIGTERM."""


def fingerprint(space: Space, data: list[Path]) -> str:
    """What tells the photos of a search from any others. Raises `DatasetError`."""
    from foodscene.training.datasets import open_dataset, union
    from foodscene.training.recipes import recipe

    layout = recipe.load(space.recipe).data.layout
    opened = [open_dataset(path, layout) for path in data]
    return (opened[0] if len(opened) == 1 else union(opened)).fingerprint


def work(folder: Path, data: list[Path], weights: str | None, threads: int, worker: str | None = None) -> None:
    """Take tickets and train them until none is left. A trial that crashes is recorded, and the next one begins.

    `threads` is how many may augment; `worker` the name that this process is known by.
    """
    space = spaces.read_space(folder / "space.toml")
    study = study_of(folder, space)
    with at_work(folder, worker) as known_as:
        while ticket := take(folder, study, space, known_as):
            ticket.set_user_attr("weights", weights)
            try:
                top1 = trial.train(folder, space, ticket, data, weights, threads)
                _end(study, ticket, TrialState.COMPLETE, top1)
            except optuna.TrialPruned:
                _end(study, ticket, TrialState.PRUNED)
            except Exception as error:  # noqa: BLE001 - whatever a setting leads to, the search goes on without it
                if not isinstance(error, FoodsceneError):
                    traceback.print_exc()  # into the worker's log: it may be a mistake of ours
                _end(study, ticket, TrialState.FAIL, error=f"{type(error).__name__}: {error}")
            with alone(folder):
                write_table(folder, study)


def recover(folder: Path, study: optuna.Study, died: Mapping[str, int] | None = None) -> int:
    """Take back the trials whose process is gone, on whichever machine; how many these were.

    They are handed out again. Only those fail, and would again, whose worker is in `died` with the exit code of a
    crash, or that were killed more than `_KILLS` times without an epoch more.
    """
    if not any(_is_gone(folder, one) for one in under_way(study)):
        return 0
    with alone(folder):
        gone = [one for one in under_way(study) if _is_gone(folder, one)]
        for one in gone:
            code = (died or {}).get(one.user_attrs.get("worker", ""))
            if code and _is_lost(folder, study, one, code):
                tickets.fail(folder, study, one, f"the process ended with code {code}")
            else:
                tickets.give_back(folder, study, one)
        write_table(folder, study)
    return len(gone)


def retry(folder: Path, study: optuna.Study, weights: str | None, *, every: bool) -> int:
    """Hand out failed trials again: every one, or those that failed with other weights than these; how many."""
    with alone(folder):
        again = [
            one
            for one in trials(study)
            if one.state == TrialState.FAIL and (every or one.user_attrs.get("weights", weights) != weights)
        ]
        for one in again:
            tickets.retry(study, one)
        write_table(folder, study)
    return len(again)


def tickets_left(study: optuna.Study) -> int:
    """How many trials there are that nobody has begun."""
    return len(study.get_trials(deepcopy=False, states=[TrialState.WAITING]))


def under_way(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that a process has taken, on whichever machine."""
    return study.get_trials(deepcopy=False, states=[TrialState.RUNNING])


def best(study: optuna.Study) -> FrozenTrial:
    """The trial with the highest top-1 on validation photos. Raises `SweepError` where none came to its end."""
    complete = [one for one in trials(study) if one.state == TrialState.COMPLETE]
    if not complete:
        raise SweepError(
            "No trial came to its end, so there is no best one: trials.csv says why, and worker-*.log beside it where "
            "that is a mistake of foodscene's own. The same command with --retry tries them again."
        )
    return max(complete, key=lambda one: one.value or 0.0)


@contextmanager
def training_the_best(folder: Path) -> Iterator[None]:
    """Be the one process that trains the best of a search; waits for another one, until that is dead."""
    with locks.held(folder / _BEST_LOCK, wait=True):
        yield


def who_trains_the_best(folder: Path) -> locks.Holder | None:
    """The process that trains the best of a search; None if none does."""
    return locks.holder(folder / _BEST_LOCK)


def place_of_the_best(folder: Path, record: dict[str, Any], weights: str | None) -> Path:
    """The folder of the run that trains a recipe, given by its record: begun already, or new.

    `best`, but where that is a run of other settings, chosen before the search was mended: then `best-2` and so on.
    """
    from foodscene.training.runs import run

    number = 1
    while True:
        place = folder / ("best" if number == 1 else f"best-{number}")
        if not (place / "run.json").exists():
            return place
        begun = run.read_run(place)
        same = begun.record.get("recipe") == record and begun.record.get("weights") == weights
        if same or begun.stillborn:
            return place
        number += 1


def write_table(folder: Path, study: optuna.Study) -> None:
    """Write `trials.csv`: a row for each trial, its settings, its figure and how long it took."""
    found = trials(study)
    keys = list(dict.fromkeys(key for one in found for key in one.params))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "val_top1", "epochs", "seconds", *keys, "error"])
    for one in found:
        seconds = round(one.duration.total_seconds(), 1) if one.duration else ""
        figure = one.value if one.value is not None else max(one.intermediate_values.values(), default="")
        settings = [_plain(one.params.get(key, "")) for key in keys]
        epochs = len(one.intermediate_values)
        writer.writerow([name_of(one), one.state.name.lower(), figure, epochs, seconds, *settings, error_of(one)])
    write(folder / "trials.csv", text.getvalue().encode())


def error_of(one: FrozenTrial) -> str:
    """Why a trial failed; nothing where it did not."""
    return str(one.user_attrs.get("error", "")) if one.state == TrialState.FAIL else ""


def new_worker() -> str:
    """A name for a process that takes trials, which no other has on any machine."""
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


@contextmanager
def at_work(folder: Path, worker: str | None = None) -> Iterator[str]:
    """The name of a worker, which is known to be alive until the block ends, on whichever machine."""
    worker = worker or new_worker()
    (folder / "workers").mkdir(exist_ok=True)
    with locks.held(folder / "workers" / worker):
        yield worker


def _end(
    study: optuna.Study, ticket: optuna.Trial, state: TrialState, figure: float | None = None, error: str = ""
) -> None:
    """Say how a trial ended, unless another process has taken it over: this one was too long without a sign of life."""
    try:
        if error:
            ticket.set_user_attr("error", error)
        study.tell(ticket, figure, state)
    except (ValueError, RuntimeError) as taken:
        print(f"{ticket.user_attrs.get('run')} is another process' by now: {taken}", flush=True)


def _is_lost(folder: Path, study: optuna.Study, one: FrozenTrial, code: int) -> bool:
    """Whether a trial whose process ended with a code is given up; counts how often it was killed from outside."""
    if code not in FROM_OUTSIDE:
        return True
    epochs = len(one.intermediate_values)
    kills, at = one.user_attrs.get("kills", (0, epochs))
    kills = kills + 1 if at == epochs else 1
    tickets.note(folder, study, one, "kills", (kills, epochs))
    return bool(kills > _KILLS)


def _is_gone(folder: Path, ticket: FrozenTrial) -> bool:
    worker = ticket.user_attrs.get("worker")
    # Without a worker, it was killed on taking the ticket.
    return worker is None or locks.holder(folder / "workers" / worker) is None


def _plain(value: Any) -> Any:
    """A listed value without the quotes that JSON has around a text."""
    return json.loads(value) if isinstance(value, str) and value else value
