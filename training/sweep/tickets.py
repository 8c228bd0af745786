"""A search's trials before they are trained: written down when it begins, handed out one by one, and mended.

Every trial is a ticket with the name of its run, `trial-0007`. Tickets are counted, so a beginning that was killed half
way goes on, more trials can be asked for, and what one process interrupted another takes up again: the same trial, with
the settings that were drawn for it and the epochs that it has. A space that is widened is a new study in the same
journal, as Optuna's studies keep their spaces; it takes over what was trained.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from foodscene.models.errors import FoodsceneError
from foodscene.models.files import write
from foodscene.training import locks
from foodscene.training.sweep import space as spaces
from foodscene.training.sweep.space import Space

JOURNAL, LOCK = "journal.log", ".lock"
_JOURNAL_LOCK = ".journal.lock"
_NAME, _BEGUN, _WHOLE = "sweep", "begun", "whole"
_NO_MATTER = ("title", "about", "reported")
"""What a recipe says of itself, which changes no training."""


class SweepError(FoodsceneError, ValueError):
    """A search that cannot be made or gone on with. Its text says what to change."""


def open_sweep(folder: Path, source: Path, photos: str = "") -> Space:
    """Begin a sweep in a folder, or join, or mend the one that is there; its space.

    `photos` is the fingerprint of the data. More trials, a wider space and another `final` are taken over. Raises
    `SweepError` where the folder holds something else, or a search of another recipe, other settings or other photos.
    """
    space = spaces.read_space(source)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        others = {path.name for path in folder.iterdir()} - {LOCK, _JOURNAL_LOCK}
        if others and not _is_journal(folder / JOURNAL):
            raise SweepError(f"{folder} holds {min(others)}, and no search. Name another folder: --folder.")
        _cut_torn_line(folder)
        facts = _facts(space, photos)
        study = study_of(folder, space)
        if _BEGUN not in study.user_attrs:
            study.set_user_attr(_BEGUN, facts)
        begun = study.user_attrs[_BEGUN]
        _check_same(folder, source, begun, facts)
        if begun["distributions"] != facts["distributions"]:
            study = _widened(folder, source, study, space, facts)
        _write_tickets(folder, study, space)
        write(folder / "space.toml", source.read_bytes())
    return space


def study_of(folder: Path, space: Space) -> optuna.Study:
    """Optuna's view of a sweep: the last of its studies that is whole."""
    storage = _storage(folder)
    prunes = space.search == "tpe" and space.prune
    whole = [one for one in storage.get_all_studies() if one.study_name == _NAME or _WHOLE in one.user_attrs]
    return optuna.create_study(
        storage=storage,
        sampler=_sampler(space, 0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4) if prunes else optuna.pruners.NopPruner(),
        study_name=whole[-1].study_name if whole else _NAME,
        direction="maximize",
        load_if_exists=True,
    )


def take(folder: Path, study: optuna.Study, space: Space, worker: str) -> optuna.Trial | None:
    """The next trial that nobody has begun; None where there is none. Its settings are drawn here."""
    with alone(folder):
        waiting = study.get_trials(deepcopy=False, states=[TrialState.WAITING])
        if not waiting:
            return None
        # Drawn by the trial's number, so that it does not matter which process comes to it.
        study.sampler = _sampler(space, int(name_of(waiting[0]).rpartition("-")[2]))
        ticket = study.ask(space.distributions())
        ticket.set_user_attr("worker", worker)
        return ticket


def give_back(folder: Path, study: optuna.Study, trial: FrozenTrial) -> None:
    """Let an interrupted trial wait again, with its settings and its epochs."""
    storage, number = _stored(folder, study, trial)
    storage.set_trial_state_values(number, TrialState.WAITING)


def fail(folder: Path, study: optuna.Study, trial: FrozenTrial, error: str) -> None:
    """Record that a trial has failed, and why."""
    storage, number = _stored(folder, study, trial)
    storage.set_trial_user_attr(number, "error", error)
    storage.set_trial_state_values(number, TrialState.FAIL)


def note(folder: Path, study: optuna.Study, trial: FrozenTrial, name: str, fact: Any) -> None:
    """Keep a fact of a trial."""
    storage, number = _stored(folder, study, trial)
    storage.set_trial_user_attr(number, name, fact)


def retry(study: optuna.Study, failed: FrozenTrial) -> None:
    """Let a trial that failed be trained again, with the settings that it had."""
    study.enqueue_trial(failed.params, {"run": name_of(failed)})


def trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials as people count them: one for each ticket, in the state that it came to last."""
    latest = {name_of(one): one for one in study.get_trials(deepcopy=False)}
    return [latest[name] for name in sorted(latest)]


def name_of(trial: FrozenTrial) -> str:
    """The name of a trial's run."""
    return str(trial.user_attrs.get("run", f"trial-{trial.number:04}"))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time: what it reads of the search does not change until it has written."""
    with locks.held(folder / LOCK, wait=True):
        yield


def _write_tickets(folder: Path, study: optuna.Study, space: Space) -> None:
    """Write the tickets that are wanted and not there yet. Raises `SweepError` where there are too many already."""
    there = trials(study)
    if space.search == "grid":
        known = [json.dumps(_settings(one), sort_keys=True) for one in there]
        wanted = [one for one in space.combinations() if json.dumps(one, sort_keys=True) not in set(known)]
    elif len(there) > space.trials:
        raise SweepError(
            f"{folder} has {len(there)} trials, and {space.trials} are asked for: they can be more, not fewer. "
            "Say so, or name another folder: --folder."
        )
    else:
        wanted = [{}] * (space.trials - len(there))
    names = {name_of(one) for one in there}
    free = (name for number in range(len(names) + len(wanted)) if (name := f"trial-{number:04}") not in names)
    for parameters, name in zip(wanted, free, strict=False):
        study.enqueue_trial(parameters, {"run": name})


def _widened(folder: Path, source: Path, old: optuna.Study, space: Space, facts: Mapping[str, Any]) -> optuna.Study:
    """A study of a wider space, which takes over what was trained. Raises `SweepError` where that does not fit in."""
    before, wider = trials(old), space.distributions()
    if at_work := [name_of(one) for one in before if one.state == TrialState.RUNNING]:
        raise SweepError(
            f"{folder}: {', '.join(at_work)} is being trained. Change the space when no process searches any more."
        )
    kept = []
    for one in before:
        settings = _settings(one)
        misfit = next((key for key, value in settings.items() if not _fits(wider.get(key), value)), None)
        if misfit is None and settings:
            kept.append(one)
        elif settings and (one.params or (folder / "runs" / name_of(one)).exists()):
            raise SweepError(
                f"{folder} holds a search of another space than {source}: {name_of(one)} was trained with {misfit} = "
                f"{settings[str(misfit)]}, which this one has not. A space can be widened; for another one, name "
                "another folder: --folder."
            )
    storage = _storage(folder)
    new = optuna.create_study(
        storage=storage, study_name=f"{_NAME}-{len(storage.get_all_studies()) + 1}", direction="maximize"
    )
    new.set_user_attr(_BEGUN, dict(facts))
    for one in kept:
        copy = optuna.trial.create_trial(
            state=one.state,
            value=one.value,
            params=one.params,
            distributions={key: wider[key] for key in one.params},
            user_attrs=one.user_attrs,
            system_attrs=one.system_attrs,
            intermediate_values=one.intermediate_values,
        )
        copy.datetime_start, copy.datetime_complete = one.datetime_start, one.datetime_complete
        new.add_trial(copy)
    new.set_user_attr(_WHOLE, True)  # the last word: what was killed before it is passed over
    for one in old.get_trials(deepcopy=False, states=[TrialState.WAITING]):
        fail(folder, old, one, "the space was widened")  # so that no process takes it that still looks there
    return study_of(folder, space)


def _fits(distribution: BaseDistribution | None, value: Any) -> bool:
    try:
        return distribution is not None and distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False


def _facts(space: Space, photos: str) -> dict[str, Any]:
    """What a search keeps of its beginning, to know whether it is gone on with as it was begun."""
    from foodscene.training.recipes import recipe

    record = recipe.load(space.recipe).record()
    return {
        "recipe": {key: value for key, value in record.items() if key not in _NO_MATTER},
        "settings": spaces.flat(space.settings),
        "photos": photos,
        "distributions": {key: distribution_to_json(one) for key, one in space.distributions().items()},
    }


def _check_same(folder: Path, source: Path, begun: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise `SweepError` where a search would go on with something else than it began with."""
    other = "Name another folder for a search of its own: --folder."
    if begun["photos"] != facts["photos"]:
        raise SweepError(f"{folder} holds a search that was begun on other photos than --data gives now. {other}")
    for fact in ("recipe", "settings"):
        if begun[fact] != facts[fact]:
            changed = sorted(key for key, _ in _differing(begun[fact], facts[fact]))
            raise SweepError(
                f"{folder} holds a search with another {fact} than {source} has now ({', '.join(changed)}), so its "
                f"trials could not be compared. {other}"
            )


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    one, other = spaces.flat(first), spaces.flat(second)
    yield from ((key, other.get(key)) for key in {**one, **other} if one.get(key) != other.get(key))


def _settings(trial: FrozenTrial) -> dict[str, Any]:
    """A trial's settings: those that it waited with, and those that it has; killed on being taken it has some only."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def _stored(folder: Path, study: optuna.Study, trial: FrozenTrial) -> tuple[JournalStorage, int]:
    """Where a trial is kept, and its number there: what Optuna has to say of a trial that another process took."""
    storage = _storage(folder)
    of = storage.get_study_id_from_name(study.study_name)
    return storage, storage.get_trial_id_from_study_id_trial_number(of, trial.number)


def _sampler(space: Space, number: int) -> optuna.samplers.BaseSampler:
    """What draws the settings of trial `number`."""
    seed = space.seed + number
    if space.search == "tpe":
        first = min(10, max(4, space.trials // 4))  # which are drawn at random; Optuna's 10 would be most of a dozen
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True, n_startup_trials=first)
    return optuna.samplers.RandomSampler(seed=seed)


class _JournalLock:
    """The journal is written by one process at a time. Optuna's own locks do not see that a process is dead."""

    def __init__(self, path: Path) -> None:
        self._path, self._held = path, ExitStack()

    def acquire(self) -> bool:
        self._held.enter_context(locks.held(self._path, wait=True))
        return True

    def release(self) -> None:
        self._held.close()


def _storage(folder: Path) -> JournalStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lock: Any = _JournalLock(folder / _JOURNAL_LOCK)
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL), lock))


def _is_journal(path: Path) -> bool:
    """Whether a file is Optuna's journal: each of its lines says which operation it is. An empty one is just begun."""
    try:
        with path.open("rb") as file:
            first = file.readline(10_000)
    except FileNotFoundError:
        return False
    return not first or b'"op_code"' in first


def _cut_torn_line(folder: Path) -> None:
    """Cut what a full disk or a power failure left of a line: whatever came after it could not be read any more."""
    path = folder / JOURNAL
    if not path.exists():
        return
    with locks.held(folder / _JOURNAL_LOCK, wait=True), path.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
