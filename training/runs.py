"""The run log: every run folder is a record. Lists them, compares two of them, takes in records of the old kind."""

import json
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from training import run
from training.run import Run, RunError

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
    """The test photos that both runs answered; 0 where they did not see the same ones."""
    only_first: int
    """How many of these the first run alone tells rightly."""
    only_second: int
    chance: float | None
    """McNemar's exact p; None without photos in common."""


def find(root: Path) -> list[Run]:
    """The runs below a folder, the oldest first; only their `run.json` is read. Damaged ones are left out."""
    if not root.is_dir():
        raise RunError(f"There is no folder {root}. Runs lie where `foodscene train` was started; or give --runs.")
    found = []
    for path in sorted(root.glob("*/run.json")):
        try:
            found.append(run.read(path.parent))
        except RunError:
            continue
    return sorted(found, key=lambda one: (str(one.record.get("started", "")), one.name))


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

    Raises `RunError` for what is no condition.
    """
    tests = [_parse(condition) for condition in conditions]
    return [one for one in runs if all(_holds(fact(one, key), compare, wanted) for key, compare, wanted in tests)]


def order(runs: Sequence[Run], key: str = "top1") -> list[Run]:
    """The best first: the lowest losses, errors and times, the highest of all else; those without the figure last."""
    sign = 1 if any(word in key for word in _LOW_IS_GOOD) else -1

    def rank(one: Run) -> tuple[bool, Any]:
        value = fact(one, key)
        number = isinstance(value, int | float)
        return (not number, sign * value if number else 0)

    return sorted(runs, key=rank)


def choose(runs: Sequence[Run], name: str) -> Run:
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


def history(one: Run) -> list[dict[str, Any]]:
    """The epochs of a run; none where none is over yet."""
    from training.report import read_history

    return read_history(one.folder / "history.csv")


def compare(first: Run, second: Run) -> Comparison:
    """What differs between two runs in settings and in figures, and whether chance could be the reason."""
    import numpy as np

    from training import evaluation, measures  # which a listing of a thousand runs does not wait for

    settings = _differing(_flat(first.record.get("recipe", {})), _flat(second.record.get("recipe", {})))
    settings = {key: pair for key, pair in settings.items() if key not in ("name", "title", "about", "reported")}
    settings |= _differing({"data": fact(first, "data")}, {"data": fact(second, "data")})
    figures = {
        key: (fact(first, key), fact(second, key))
        for key in ("top1", "top5", "loss", "test.calibration_error", "val_top1", "val_loss", "parameters", "seconds")
        if fact(first, key) is not None or fact(second, key) is not None
    }
    try:
        one, other = (evaluation.load(each.folder / "predictions.npz") for each in (first, second))
    except evaluation.EvaluationError:
        return Comparison(settings, figures, 0, 0, 0, None)
    places = {
        (name, one.labels[truth]): index for index, (name, truth) in enumerate(zip(one.names, one.truths, strict=True))
    }
    pairs = [
        (places[key], index)
        for index, key in enumerate(zip(other.names, (other.labels[truth] for truth in other.truths), strict=True))
        if key in places
    ]
    if not pairs:
        return Comparison(settings, figures, 0, 0, 0, None)
    here, there = np.array(pairs).T
    right, also = one.right[here], other.right[there]
    chance = measures.mcnemar(right, also)
    return Comparison(settings, figures, len(pairs), int((right & ~also).sum()), int((also & ~right).sum()), chance)


def take_in(path: Path, root: Path) -> Run:
    """Make a run of an old record: one JSON file with the history and figures of a Keras training.

    Keys are understood in their usual spellings (`acc`, `accuracy`, `val_acc`, `test_acc`, `test_accuracy` …); whatever
    else the file says is kept under `imported`. Raises `RunError` where it is no such record.
    """
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as JSON: {error}") from None
    curves = old.get("history") if isinstance(old, dict) else None
    if not isinstance(curves, dict) or not all(isinstance(values, list) for values in curves.values()):
        raise RunError(f"{path} has no history: {{'loss': [...], ...}}, which makes a record of a training.")
    named = {_today(name): values for name, values in curves.items()}
    rows = [
        {"epoch": index + 1, "phase": "train", **{name: values[index] for name, values in named.items()}}
        for index in range(min(map(len, named.values()), default=0))
    ]
    best = min(rows, key=lambda row: row.get("val_loss", row.get("loss", 0)), default={})
    test = {_today(key.removeprefix("test_")): old[key] for key in old if key.startswith("test_")}
    made = run.create(
        root / run.folder_name(path.stem, datetime.fromtimestamp(path.stat().st_mtime)),
        {
            "status": "finished",
            "recipe": {"name": f"imported/{path.stem}", **_old_settings(old)},
            "started": str(old.get("timestamp") or old.get("time") or datetime.fromtimestamp(path.stat().st_mtime)),
            "epochs": len(rows),
            "best": {key: best[key] for key in ("epoch", "val_loss", "val_top1") if key in best},
            "test": {key: value for key, value in test.items() if isinstance(value, int | float)},
            "imported": {key: value for key, value in old.items() if key != "history"},
        },
    )
    made.save_history(rows)
    return made


def mirror(runs: Sequence[Run], address: str, experiment: str = "foodscene") -> int:
    """Copy runs into an MLflow server or folder at `address`, those left out that are there already; how many were new.

    Raises `RunError` where MLflow is not installed.
    """
    try:
        import mlflow
    except ImportError:
        raise RunError("MLflow is not installed: pip install 'foodscene[mlflow]'.") from None
    try:
        client = mlflow.MlflowClient(address)
        known = client.get_experiment_by_name(experiment)
    except mlflow.MlflowException as error:
        raise RunError(f"MLflow cannot be used at {address}: {str(error).splitlines()[0]}") from None
    place = known.experiment_id if known else client.create_experiment(experiment)
    there = {one.info.run_name for one in client.search_runs([place], max_results=50_000)}
    new = [one for one in runs if one.name not in there]
    for one in new:
        copy = client.create_run(place, run_name=one.name).info.run_id
        for key, value in _flat(one.record.get("recipe", {})).items():
            client.log_param(copy, key, str(value)[:500])
        for row in history(one):
            for key, value in row.items():
                if isinstance(value, float):
                    client.log_metric(copy, key, value, step=int(row["epoch"]))
        for key, value in one.record.get("test", {}).items():
            client.log_metric(copy, f"test_{key}", float(value))
        client.set_terminated(copy, "FINISHED" if one.finished else "FAILED")
    return len(new)


def _parse(condition: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"([\w.]+)\s*(>=|<=|!=|=|>|<)\s*(.+)", condition.strip())
    if not found:
        raise RunError(
            f"--where {condition}: write it as KEY=PATTERN or KEY>NUMBER, such as recipe=food/* or top1>0.8."
        )
    key, comparison, wanted = found.groups()
    if comparison in _COMPARISONS:
        try:
            float(wanted)
        except ValueError:
            raise RunError(f"--where {condition}: {wanted!r} is no number.") from None
    return key, comparison, wanted


def _holds(value: Any, comparison: str, wanted: str) -> bool:
    if comparison in _COMPARISONS:
        return isinstance(value, int | float) and bool(_COMPARISONS[comparison](value, float(wanted)))
    return (value is not None and fnmatchcase(str(value), wanted)) == (comparison == "=")


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
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


def _today(name: str) -> str:
    """The name that a figure has in our histories."""
    return re.sub(r"(categorical_|sparse_categorical_)?acc(uracy)?$", "top1", name)


def _old_settings(old: Mapping[str, Any]) -> dict[str, Any]:
    training = {key: old[key] for key in ("batch_size", "epochs", "loss") if key in old}
    return {"training": training, **({"optimizer": {"name": old["optimizer"]}} if "optimizer" in old else {})}
