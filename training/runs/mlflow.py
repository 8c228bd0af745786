"""The run log where people already keep theirs: copied into MLflow."""

import time
from collections.abc import Sequence
from typing import Any

from foodscene.training.runs.log import flat
from foodscene.training.runs.run import Run, RunError

_GOING_ON = ("begun", "running")
_MOST_PARAMETERS, _MOST_METRICS = 100, 1000  # that MLflow takes at once


def mirror(runs: Sequence[Run], address: str, experiment: str = "foodscene") -> int:
    """Copy runs that have ended into MLflow at `address`, those left out that are there already; how many were new.

    Settings become parameters, epochs' figures metrics with the epoch as their step, the test figures `test_…`.
    Raises `RunError` where MLflow is not installed, or nothing answers at the address.
    """
    try:
        import mlflow
        from mlflow.entities import Metric, Param
    except ImportError:
        raise RunError("MLflow is not installed: pip install 'foodscene[mlflow]'.") from None
    try:
        client = mlflow.MlflowClient(address)
        known = client.get_experiment_by_name(experiment)
        place = known.experiment_id if known else client.create_experiment(experiment)
        there = {one.info.run_name for one in client.search_runs([place], max_results=50_000)}
    except mlflow.MlflowException as error:
        raise RunError(f"MLflow cannot be used at {address}: {str(error).splitlines()[0]}") from None
    new = [one for one in runs if one.name not in there and one.record.get("status") not in _GOING_ON]
    for one in new:
        now = int(time.time() * 1000)
        copy = client.create_run(place, run_name=one.name, tags=_tags(one)).info.run_id
        settings = [Param(key, str(value)[:500]) for key, value in flat(one.record.get("recipe", {})).items()]
        figures = [Metric(key, value, now, step) for key, value, step in _figures(one)]
        for start in range(0, len(settings), _MOST_PARAMETERS):
            client.log_batch(copy, params=settings[start : start + _MOST_PARAMETERS])
        for start in range(0, len(figures), _MOST_METRICS):
            client.log_batch(copy, metrics=figures[start : start + _MOST_METRICS])
        client.set_terminated(copy, "FINISHED" if one.finished else "FAILED")
    return len(new)


def _figures(one: Run) -> list[tuple[str, float, int]]:
    """Names, values and steps of all figures of a run."""
    epochs = [
        (key, value, int(row["epoch"]))
        for row in one.load_history()
        for key, value in row.items()
        if isinstance(value, float)
    ]
    test = [(f"test_{key}", float(value), 0) for key, value in one.record.get("test", {}).items() if _is_number(value)]
    return epochs + test


def _tags(one: Run) -> dict[str, Any]:
    facts = {
        "data": one.record.get("dataset", {}).get("name"),
        "command": one.record.get("command"),
        "folder": str(one.folder.resolve()),
    }
    return {key: value for key, value in facts.items() if value}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
