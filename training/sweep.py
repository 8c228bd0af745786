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

import contextlib
import csv
import fcntl
import io
import itertools
import json
import os
import socket
import tomllib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from training.run import Row, replace

_NAME = "sweep"
_LARGEST_GRID = 10_000


class SweepError(ValueError):
    """A search that cannot be made or gone on with. Its text says what to change."""


class Range(BaseModel):
    """Values between two numbers; whole ones where both are whole. `log` draws their logarithms evenly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 where log = true")
        return self


Values = Annotated[list[Any], Field(min_length=1)] | Range


class Space(BaseModel):
    """A `SPACE.toml`: which recipe, what is varied, how it is searched.

    `settings` holds for all trials; `space` gives a list of values or a range for each dotted key of the recipe.
    `final` is set, over all that, when the best is trained for longer. The figure to maximize is the top-1 on
    validation photos: the test photos are for the final figure alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str
    search: Literal["grid", "random", "tpe"] = "tpe"
    trials: PositiveInt = 20
    seed: int = 0
    prune: bool = True
    """Whether TPE ends trials that are behind the median of the others at the same epoch."""
    settings: dict[str, Any] = {}
    space: dict[str, Values] = Field(min_length=1)
    final: dict[str, Any] = {}

    @model_validator(mode="after")
    def _grid_has_lists(self) -> "Space":
        if self.search == "grid" and (ranges := [key for key, one in self.space.items() if isinstance(one, Range)]):
            raise ValueError(f"a grid takes a list of values for every key, but {', '.join(ranges)} has a range")
        return self

    def combinations(self) -> Iterator[dict[str, Any]]:
        """The Cartesian product of all lists, in Optuna's spelling."""
        lists = [[json.dumps(value) for value in one] for one in self.space.values() if isinstance(one, list)]
        for values in itertools.product(*lists):
            yield dict(zip(self.space, values, strict=True))

    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna draws from; listed values as JSON, which is also how TOML spells them."""
        return {key: _distribution(values) for key, values in self.space.items()}

    def overrides(self, parameters: dict[str, Any], *, final: bool = False) -> list[str]:
        """A trial's settings as `--set` takes them."""
        drawn = {key: value if isinstance(value, str) else json.dumps(value) for key, value in parameters.items()}
        fixed = {key: json.dumps(value) for key, value in _flat(self.settings).items()}
        longer = {key: json.dumps(value) for key, value in _flat(self.final).items()} if final else {}
        return [f"{key}={value}" for key, value in {**fixed, **drawn, **longer}.items()]


def read(path: Path) -> Space:
    """Read a `SPACE.toml` and check it, with the recipe that it names. Raises `SweepError` and `RecipeError`."""
    from training import recipe

    try:
        space = Space.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SweepError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SweepError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()]
        raise SweepError("\n".join(lines)) from None
    size = 1
    for values in space.space.values():
        size *= len(values) if isinstance(values, list) else 1
    if space.search == "grid" and size > _LARGEST_GRID:
        raise SweepError(f'{path}: the grid has {size:,} combinations; take search = "tpe" or fewer values.')
    first = {key: json.dumps(one[0] if isinstance(one, list) else one.low) for key, one in space.space.items()}
    recipe.load(space.recipe, space.overrides(first))
    return space


def open_sweep(folder: Path, source: Path) -> Space:
    """Begin a sweep in a folder, or join the one that is there. Raises `SweepError` where that is of another space."""
    space = read(source)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        kept = folder / "space.toml"
        if kept.exists() and read(kept) != space:
            raise SweepError(f"{folder} holds a search of another space than {source}. Name another one by --folder.")
        if not kept.exists():
            study = study_of(folder, space)
            tickets = list(space.combinations()) if space.search == "grid" else [{}] * space.trials
            for number, parameters in enumerate(tickets):
                study.enqueue_trial(parameters, {"run": f"trial-{number:04}"})
            replace(kept, source.read_bytes())
    return space


def study_of(folder: Path, space: Space) -> optuna.Study:
    """Optuna's view of a sweep."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lock = JournalFileSymlinkLock(str(folder / "journal.log"))
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "journal.log"), lock))
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=space.seed + os.getpid())
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if space.search == "tpe":
        sampler = optuna.samplers.TPESampler(seed=space.seed + os.getpid(), constant_liar=True)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=4) if space.prune else pruner
    return optuna.create_study(
        storage=storage, sampler=sampler, pruner=pruner, study_name=_NAME, direction="maximize", load_if_exists=True
    )


def recover(folder: Path, space: Space, died: str = "") -> int:
    """End the trials of this machine whose process is gone; how many these were.

    They were interrupted and are handed out again, unless `died` says what became of the process: then they failed, and
    would again.
    """
    with _locked(folder):
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
    space = read(folder / "space.toml")
    study = study_of(folder, space)
    with _alive(folder) as worker:
        while trial := _ticket(folder, study, space, worker):
            try:
                top1 = _train(folder, space, trial, data, weights, threads)
                study.tell(trial, top1)
            except optuna.TrialPruned:
                study.tell(trial, state=TrialState.PRUNED)
            except Exception as error:  # noqa: BLE001 - whatever a setting leads to, the search goes on without it
                trial.set_user_attr("error", f"{type(error).__name__}: {error}")
                study.tell(trial, state=TrialState.FAIL)
            with _locked(folder):
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
        raise SweepError("No trial came to its end, so there is no best one: trials.csv says why.")
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
    replace(folder / "trials.csv", text.getvalue().encode())


def _ticket(folder: Path, study: optuna.Study, space: Space, worker: str) -> optuna.Trial | None:
    """The next trial that nobody has begun; None where there is none. Its settings are drawn here."""
    with _locked(folder):
        if not tickets_left(study):
            return None
        trial = study.ask(space.distributions())
        trial.set_user_attr("worker", worker)
        return trial


def _train(
    folder: Path, space: Space, trial: optuna.Trial, data: list[Path], weights: str | None, threads: int
) -> float:
    """Train a trial in its run folder, or go on with it; its best top-1 on validation photos."""
    from training import data as photos
    from training import loop, recipe, run
    from training.watching import Both, TensorBoard

    place = folder / "runs" / trial.user_attrs["run"]
    settings = recipe.load(space.recipe, space.overrides(trial.params))
    if (place / "run.json").exists():
        current = run.read(place)
    else:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        facts = {"recipe": settings.record(), "data": [str(path) for path in data], "started": now}
        current = run.create(place, {"status": "running", **facts, "sweep": folder.name})
    read = settings.data
    loaded = photos.load(
        data,
        settings.input.spec,
        layout=read.layout,
        crop_boxes=read.crop_boxes,
        fractions=read.fractions,
        seed=settings.seed,
    )
    current.update(dataset={"name": loaded.name, "fingerprint": loaded.fingerprint, "classes": list(loaded.classes)})
    watch = Both(TensorBoard(place / "tensorboard"), _Pruning(trial))
    try:
        result = loop.train(settings, loaded, current, watch, threads=threads, weights=weights)
    except optuna.TrialPruned:
        current.update(status="pruned")
        raise
    except Exception as error:
        current.update(status="failed", error=f"{type(error).__name__}: {error}")
        raise
    finally:
        watch.close()
    top1 = float(result.best["val_top1"])
    kept = {key: result.best[key] for key in ("epoch", "val_loss", "val_top1")}
    current.update(status="finished", epochs=len(result.history), best=kept)
    return top1


class _Pruning:
    """Tells Optuna of every epoch, and ends the trial where it says so, or where the sweep itself was killed."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial, self._parent = trial, os.getppid()

    def begin(self, epoch: int, epochs: int, photos: int) -> None:
        """Nothing to tell."""

    def advance(self, photos: int) -> None:  # noqa: ARG002
        """Some photos are done."""
        if os.getppid() != self._parent:
            raise KeyboardInterrupt

    def end(self, row: Row, epochs: int) -> None:
        """An epoch is over."""
        self.advance(0)
        self._trial.report(row["val_top1"], row["epoch"])
        if row["epoch"] < epochs and self._trial.should_prune():
            raise optuna.TrialPruned

    def close(self) -> None:
        """Nothing to close."""


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time, on whichever machine."""
    lock = JournalFileSymlinkLock(str(folder / "tickets"))
    (folder / "tickets").touch()
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _alive(folder: Path) -> Iterator[str]:
    """A name under which this process is known to be alive: it holds a lock, which the system takes from a dead one."""
    path = folder / "workers" / f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path.name
        path.unlink()


def _is_gone(folder: Path, trial: FrozenTrial) -> bool:
    """Whether the process of a running trial is dead. One on another machine is taken to be alive."""
    worker = trial.user_attrs.get("worker")
    if worker is None:
        return True  # killed with the ticket in its hand
    if worker.rpartition("-")[0] != socket.gethostname():
        return False
    try:
        with (folder / "workers" / worker).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def _distribution(values: list[Any] | Range) -> BaseDistribution:
    if isinstance(values, list):
        return CategoricalDistribution([json.dumps(value) for value in values])
    if isinstance(values.low, int) and isinstance(values.high, int):
        return IntDistribution(values.low, values.high, log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _plain(value: Any) -> Any:
    """A listed value without the quotes that JSON has around a text."""
    return json.loads(value) if isinstance(value, str) and value else value
