"""The search: many short trainings of one recipe with other settings, in parallel processes, on one machine or several.

A sweep's folder is all its state; whoever sees the folder can join:

space.toml     what is searched
journal.log    Optuna's journal: every trial, its settings and figures
trials.csv     the same as a table
runs/          a run folder for each trial, with its TensorBoard log
best/          the run that trains the best settings for longer, with the bundle

Every trial is handed out as a ticket that was written before the first one began. So processes on several machines
share them without agreeing, a search ends after exactly as many trials as were asked for, and a trial that was
interrupted is handed out again, and goes on where it was.
"""

import csv
import io
import json
import socket
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from foodscene.models.errors import FoodsceneError
from foodscene.models.files import write
from foodscene.training import locks
from foodscene.training.sweep import space as spaces
from foodscene.training.sweep import trial
from foodscene.training.sweep.space import Space

_NAME, _LOCK = "sweep", ".lock"


class SweepError(FoodsceneError, ValueError):
    """A search that cannot be made or gone on with. Its text says what to change."""


def open_sweep(folder: Path, source: Path) -> Space:
    """Begin a sweep in a folder, or join the one that is there. Raises `SweepError` where that is of another space."""
    space = spaces.read_space(source)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        others = {path.name for path in folder.iterdir()} - {_LOCK}
        if others and not _is_journal(folder / "journal.log"):
            raise SweepError(f"{folder} holds {min(others)}, and no search. Name another folder: --folder.")
        kept = folder / "space.toml"
        if kept.exists() and spaces.read_space(kept) != space:
            raise SweepError(f"{folder} holds a search of another space than {source}. Name another one by --folder.")
        if not kept.exists():
            study = study_of(folder, space)
            tickets = list(space.combinations()) if space.search == "grid" else [{}] * space.trials
            for number, parameters in enumerate(tickets):
                study.enqueue_trial(parameters, {"run": f"trial-{number:04}"})
            write(kept, source.read_bytes())
    return space


def study_of(folder: Path, space: Space) -> optuna.Study:
    """Optuna's view of a sweep."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lock = JournalFileSymlinkLock(str(folder / "journal.log"))
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "journal.log"), lock))
    prunes = space.search == "tpe" and space.prune
    return optuna.create_study(
        storage=storage,
        sampler=_sampler(space, 0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4) if prunes else optuna.pruners.NopPruner(),
        study_name=_NAME,
        direction="maximize",
        load_if_exists=True,
    )


def recover(folder: Path, space: Space, died: str = "") -> int:
    """End the trials of this machine whose process is gone; how many these were.

    They were interrupted and are handed out again, unless `died` says what became of the process: then they failed, and
    would again.
    """
    with _alone(folder):
        study = study_of(folder, space)
        gone = [one for one in study.get_trials(states=[TrialState.RUNNING]) if _is_gone(folder, one)]
        for one in gone:
            if died:
                study.set_user_attr(f"died-{one.number}", died)
            else:
                study.enqueue_trial(one.params, {"run": one.user_attrs["run"]})
            study.tell(one.number, state=TrialState.FAIL)
        write_table(folder, study)
    return len(gone)


def work(folder: Path, data: list[Path], weights: str | None, threads: int) -> None:
    """Take tickets and train them until none is left. A trial that crashes is recorded, and the next one begins.

    `threads` is how many may augment.
    """
    space = spaces.read_space(folder / "space.toml")
    study = study_of(folder, space)
    with at_work(folder) as worker:
        while ticket := take(folder, study, space, worker):
            try:
                top1 = trial.train(folder, space, ticket, data, weights, threads)
                study.tell(ticket, top1)
            except optuna.TrialPruned:
                study.tell(ticket, state=TrialState.PRUNED)
            except Exception as error:  # noqa: BLE001 - whatever a setting leads to, the search goes on without it
                if not isinstance(error, FoodsceneError):
                    traceback.print_exc()  # into the worker's log: it may be a mistake of ours
                ticket.set_user_attr("error", f"{type(error).__name__}: {error}")
                study.tell(ticket, state=TrialState.FAIL)
            with _alone(folder):
                write_table(folder, study)


def tickets_left(study: optuna.Study) -> bool:
    """Whether there are trials that nobody has begun."""
    return bool(study.get_trials(deepcopy=False, states=[TrialState.WAITING]))


def trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials as people count them: one for each ticket, in the state that it came to last."""
    latest = {one.user_attrs.get("run", f"trial-{one.number:04}"): one for one in study.get_trials(deepcopy=False)}
    return [latest[name] for name in sorted(latest)]


def best(study: optuna.Study) -> FrozenTrial:
    """The trial with the highest top-1 on validation photos. Raises `SweepError` where none came to its end."""
    complete = [one for one in trials(study) if one.state == TrialState.COMPLETE]
    if not complete:
        raise SweepError(
            "No trial came to its end, so there is no best one: trials.csv says why, and worker-*.log beside it where "
            "that is a mistake of foodscene's own."
        )
    return max(complete, key=lambda one: one.value or 0.0)


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
        error = one.user_attrs.get("error", study.user_attrs.get(f"died-{one.number}", ""))
        epochs = len(one.intermediate_values)
        writer.writerow(
            [one.user_attrs.get("run", ""), one.state.name.lower(), figure, epochs, seconds, *settings, error]
        )
    write(folder / "trials.csv", text.getvalue().encode())


def take(folder: Path, study: optuna.Study, space: Space, worker: str) -> optuna.Trial | None:
    """The next trial that nobody has begun; None where there is none. Its settings are drawn here."""
    with _alone(folder):
        waiting = study.get_trials(deepcopy=False, states=[TrialState.WAITING])
        if not waiting:
            return None
        # Drawn by the trial's number, so that it does not matter which process comes to it.
        study.sampler = _sampler(space, waiting[0].number)
        ticket = study.ask(space.distributions())
        ticket.set_user_attr("worker", worker)
        return ticket


def _sampler(space: Space, number: int) -> optuna.samplers.BaseSampler:
    """What draws the settings of trial `number`."""
    seed = space.seed + number
    if space.search == "tpe":
        first = min(10, max(4, space.trials // 4))  # which are drawn at random; Optuna's 10 would be most of a dozen
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True, n_startup_trials=first)
    return optuna.samplers.RandomSampler(seed=seed)


def _is_journal(path: Path) -> bool:
    """Whether a file is Optuna's journal: each of its lines says which operation it is."""
    try:
        with path.open("rb") as file:
            return b'"op_code"' in file.readline(10_000)
    except FileNotFoundError:
        return False


@contextmanager
def at_work(folder: Path) -> Iterator[str]:
    """The name of a worker, which is known to be alive until the block ends, on whichever machine."""
    worker = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    (folder / "workers").mkdir(exist_ok=True)
    with locks.held(folder / "workers" / worker):
        yield worker


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: what it reads of the search does not change until it has written."""
    with locks.held(folder / _LOCK, wait=True):
        yield


def _is_gone(folder: Path, ticket: FrozenTrial) -> bool:
    worker = ticket.user_attrs.get("worker")
    # Without a worker, it was killed on taking the ticket.
    return worker is None or locks.holder(folder / "workers" / worker) is None


def _plain(value: Any) -> Any:
    """A listed value without the quotes that JSON has around a text."""
    return json.loads(value) if isinstance(value, str) and value else value
