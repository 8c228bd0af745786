"""The run log: every run folder is a record. Lists them, and compares two of them."""

import difflib
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from foodscene.training.runs import run
from foodscene.training.runs.run import Run, RunError

SHORT = {
    "recipe": "recipe.name",
    "data": "dataset.name",
    "top1": "test.top1",
    "top5": "test.top5",
    "loss": "test.loss",
    "val_top1": "best.val_top1",
    "val_loss": "best.val_loss",
}
"""What people call the facts of a record, and where these stand in it."""

_LOW_IS_GOOD = ("loss", "error", "seconds", "parameters", "epochs")
_COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


class Comparison(NamedTuple):
    """What differs between two runs."""

    settings: dict[str, tuple[Any, Any]]
    """Dotted keys of the recipe, with both values; None where one has no such key."""
    figures: dict[str, tuple[float | None, float | None]]
    photos: int
    """The test photos that both runs answered, told by what is in them; 0 where there are none, or none is known."""
    only_first: int
    """How many of these the first run alone tells rightly."""
    only_second: int
    chance: float | None
    """McNemar's exact p; None without photos in common."""
    others: bool = False
    """Whether it is known that the two were measured on other photos: their figures cannot be compared."""


def find_runs(root: Path) -> list[Run]:
    """The runs below a folder, the oldest first; only their `run.json` is read. Damaged ones are left out."""
    return survey(root)[0]


def survey(root: Path) -> tuple[list[Run], dict[str, str]]:
    """The runs below a folder as `find_runs` gives them; and by name why others cannot be read."""
    if not root.is_dir():
        raise RunError(f"There is no folder {root}. Runs lie where `foodscene train` was started; or give --runs.")
    found, refused = [], {}
    for folder in sorted(root.iterdir()):
        try:
            if _has_record(folder):
                found.append(run.read_run(folder))
        except RunError as error:
            refused[folder.name] = str(error)
    return sorted(found, key=lambda one: (str(one.record.get("started", "")), one.name)), refused


def _has_record(folder: Path) -> bool:
    """Raises `RunError` for a folder that cannot be looked into."""
    try:
        (folder / "run.json").lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise RunError(f"{folder.name} cannot be read: {error}") from None
    return True


def fact(one: Run, key: str) -> Any:
    """A fact of a record by its dotted key, or by its short name; None where there is no such fact."""
    value: Any = one.record
    if key == "name":
        return one.name
    for part in SHORT.get(key, key).split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def select(runs: Sequence[Run], conditions: Sequence[str]) -> list[Run]:
    """Those runs that fulfil all conditions, such as `recipe=food/*`, `status=finished`, `top1>0.8`.

    Raises `RunError` for what is no condition, and for a fact that no run has.
    """
    tests = [_parse(condition) for condition in conditions]
    for key, _, _ in tests:
        _check_known(runs, key)
    return [one for one in runs if all(_holds(fact(one, key), compare, wanted) for key, compare, wanted in tests)]


def order(runs: Sequence[Run], key: str = "top1") -> list[Run]:
    """The best first: the lowest losses, errors and times, the highest of all else; those without the figure last.

    Raises `RunError` for a figure that no run has.
    """
    _check_known(runs, key)
    sign = 1 if any(word in key for word in _LOW_IS_GOOD) else -1

    def rank(one: Run) -> tuple[bool, Any]:
        value = fact(one, key)
        number = isinstance(value, int | float)
        return (not number, sign * value if number else 0)

    return sorted(runs, key=rank)


def find_run(runs: Sequence[Run], name: str) -> Run:
    """A run by its number, counted from 1 with the oldest, by its folder's name, or by a part that no other has.

    Raises `RunError`.
    """
    if name.isdigit() and 1 <= int(name) <= len(runs):
        return runs[int(name) - 1]
    found = [one for one in runs if one.name == name] or [one for one in runs if name in one.name]
    if len(found) != 1:
        said = f"{len(found)} runs are called so" if found else "there is no such run"
        raise RunError(f"{name}: {said}. `foodscene runs` lists them with their numbers.")
    return found[0]


def compare(first: Run, second: Run) -> Comparison:
    """What differs between two runs in settings and in figures, and whether chance could be the reason."""
    from foodscene.training.evaluation import (
        evaluation,
        metrics,  # which a listing of a thousand runs does not wait for
    )

    settings = _differing(flat(first.record.get("recipe", {})), flat(second.record.get("recipe", {})))
    settings = {key: pair for key, pair in settings.items() if key not in ("name", "title", "about", "reported")}
    prints = [str(fact(one, "dataset.fingerprint") or "")[:12] for one in (first, second)]
    for key, pair in (("data", (fact(first, "data"), fact(second, "data"))), ("photos", (prints[0], prints[1]))):
        settings |= _differing({key: pair[0]}, {key: pair[1]})
    figures = {
        key: (fact(first, key), fact(second, key))
        for key in ("top1", "top5", "loss", "test.calibration_error", "val_top1", "val_loss", "parameters", "seconds")
        if fact(first, key) is not None or fact(second, key) is not None
    }
    try:
        one, other = (evaluation.load(each.folder / "predictions.npz") for each in (first, second))
    except evaluation.EvaluationError:
        return Comparison(settings, figures, 0, 0, 0, None)
    pairs = evaluation.in_common(one, other, by_name=prints[0] == prints[1])
    if not len(pairs):
        return Comparison(settings, figures, 0, 0, 0, None, others=bool(one.contents and other.contents))
    right, also = one.right[pairs[:, 0]], other.right[pairs[:, 1]]
    chance = metrics.mcnemar(right, also)
    return Comparison(settings, figures, len(pairs), int((right & ~also).sum()), int((also & ~right).sum()), chance)


def _check_known(runs: Sequence[Run], key: str) -> None:
    if key in SHORT or key == "name" or not runs or any(fact(one, key) is not None for one in runs):
        return
    known = [*SHORT, *dict.fromkeys(key for one in runs for key in flat(one.record))]
    near = difflib.get_close_matches(key, known, n=3)
    raise RunError(
        f"No run has {key}." + (f" Did you mean {' or '.join(near)}?" if near else "") + " `foodscene runs show N` "
        "prints everything that a run has."
    )


def _parse(condition: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"([\w.]+)\s*(>=|<=|!=|==?|>|<)\s*(.+)", condition.strip())
    if not found:
        raise RunError(
            f"--where {condition}: write it as KEY=PATTERN or KEY>NUMBER, such as recipe=food/* or top1>0.8."
        )
    key, comparison, wanted = found.groups()
    comparison = "=" if comparison == "==" else comparison
    if comparison in _COMPARISONS:
        try:
            float(wanted)
        except ValueError:
            raise RunError(f"--where {condition}: {wanted!r} is no number.") from None
    return key, comparison, wanted


def _holds(value: Any, comparison: str, wanted: str) -> bool:
    if comparison in _COMPARISONS:
        return isinstance(value, int | float) and bool(_COMPARISONS[comparison](value, float(wanted)))
    return (value is not None and _is(value, wanted)) == (comparison == "=")


def _is(value: Any, wanted: str) -> bool:
    """Whether a value is what a person wrote: a number in any spelling, a text by its pattern, true and false."""
    if isinstance(value, bool):
        return wanted.lower() == str(value).lower()
    if isinstance(value, int | float):
        try:
            return float(wanted) == value
        except ValueError:
            pass
    return fnmatchcase(str(value), wanted)


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested tables by their dotted keys."""
    return dict(_leaves(table, prefix))


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = dict.fromkeys([*first, *second])
    return {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}
