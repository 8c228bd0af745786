"""The run log where people already keep theirs: copied into MLflow."""

import hashlib
import importlib.util
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from foodscene.training.runs.log import flat
from foodscene.training.runs.run import Run, RunError

if TYPE_CHECKING:
    import mlflow
    from mlflow.entities import Metric

_T = TypeVar("_T")

_GOING_ON = ("begun", "running")
_STATUS = {"finished": "FINISHED", "failed": "FAILED"}
"""Ours in MLflow's words; what was interrupted, or ended by a search, is KILLED."""
_ID, _STATE = "foodscene.run", "foodscene.state"
"""Tags: which run it is, wherever its folder lies, and what of it has been copied, which is set last."""
_MOST_PARAMETERS, _MOST_METRICS = 100, 1000  # that MLflow takes at once
_MOST_TEXT = 500
_NO_NAME = re.compile(r"[^\w\-./ :]", re.ASCII)  # what may not be in a name

_SECONDS = 8
"""How long an absent server is waited for; MLflow itself tries for four minutes."""
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "3", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def mirror(runs: Sequence[Run], address: str, experiment: str = "foodscene") -> int:
    """Copy runs that have ended into MLflow at `address`; how many were new, or had gone on since they were copied.

    Each run is there once, under its own name, times and status. Settings become parameters, epochs' figures metrics
    with the epoch as their step, the test figures `test_…`. Raises `RunError` where MLflow is not installed, nothing
    answers at the address, or the experiment was deleted.
    """
    try:
        import mlflow
    except ImportError:
        raise RunError("MLflow is not installed: pip install 'foodscene[mlflow]'.") from None
    _check_driver(address)
    try:
        client, place = _reached(address, experiment)
        there = _copies(client, place)
        changed = 0
        for one in runs:
            if one.record.get("status") in _GOING_ON:
                continue
            copy, state = there.get(_known_as(one)), _state(one)
            if copy and copy.data.tags.get(_STATE) == state:
                continue
            _copy(client, place, one, copy, state)
            changed += 1
    except mlflow.MlflowException as error:
        raise RunError(f"MLflow cannot be used at {address}: {str(error).splitlines()[0]}") from None
    return changed


def _check_driver(address: str) -> None:
    if "://" in address and address.partition(":")[0].partition("+")[0] in ("sqlite", "mysql", "postgresql", "mssql"):
        for package in ("sqlalchemy", "alembic"):
            if importlib.util.find_spec(package) is None:
                raise RunError(f"{package} is not installed, which {address} needs: pip install 'foodscene[mlflow]'.")


def _reached(address: str, experiment: str) -> "tuple[mlflow.MlflowClient, str]":
    """A client of the address, and the experiment's number there."""
    import mlflow

    def ask() -> "tuple[mlflow.MlflowClient, str]":
        client = mlflow.MlflowClient(address)
        known = client.get_experiment_by_name(experiment)
        if known and known.lifecycle_stage != "active":
            raise RunError(
                f"The experiment {experiment} was deleted in MLflow. Restore it there (mlflow experiments restore "
                f"--experiment-id {known.experiment_id}), or name another one: --experiment."
            )
        return client, known.experiment_id if known else client.create_experiment(experiment)

    if not address.startswith(("http:", "https:")):
        return ask()
    with _impatient():
        return _soon(ask, f"Nothing answers at {address} within {_SECONDS} seconds. Is MLflow running there?")


@contextmanager
def _impatient() -> Iterator[None]:
    """MLflow gives up soon, where nobody has said when it should."""
    ours = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def _soon(ask: Callable[[], _T], otherwise: str) -> _T:
    """What `ask` returns or raises; `RunError` where it takes too long, looking up a name, say."""
    answers: list[_T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            errors.append(error)

    asking = threading.Thread(target=work, daemon=True)
    asking.start()
    asking.join(_SECONDS)
    if errors:
        raise errors[0]
    if not answers:
        raise RunError(otherwise)
    return answers[0]


def _copies(client: "mlflow.MlflowClient", place: str) -> dict[str, Any]:
    """The runs that are in MLflow already, by what they are known as."""
    found: dict[str, Any] = {}
    token = None
    while True:
        page = client.search_runs([place], max_results=5_000, page_token=token)
        found |= {one.data.tags[_ID]: one for one in page if _ID in one.data.tags}
        token = page.token
        if not token:
            return found


def _copy(client: "mlflow.MlflowClient", place: str, one: Run, copy: Any, state: str) -> None:
    """Copy a run, or what is new of it since it was copied."""
    from mlflow.entities import Param

    settings = {_NO_NAME.sub("_", key): str(value)[:_MOST_TEXT] for key, value in _settings(one).items()}
    if copy and any(settings.get(key, value) != value for key, value in copy.data.params.items()):
        client.delete_run(copy.info.run_id)  # a parameter stays as it is in MLflow: more epochs make another copy
        copy = None
    began = _began(one)
    if copy is None:
        copy = client.create_run(place, start_time=began, run_name=one.name, tags={_ID: _known_as(one)})
    number = copy.info.run_id
    parameters = [Param(key, value) for key, value in settings.items() if key not in copy.data.params]
    for start in range(0, len(parameters), _MOST_PARAMETERS):
        client.log_batch(number, params=parameters[start : start + _MOST_PARAMETERS])
    there = {key: _points(client, number, key) for key in copy.data.metrics}
    figures = [new for new in _figures(one) if (new.step, new.value) not in there.get(new.key, ())]
    for start in range(0, len(figures), _MOST_METRICS):
        client.log_batch(number, metrics=figures[start : start + _MOST_METRICS])
    for key, text in _tags(one).items():
        client.set_tag(number, key, text)
    client.set_terminated(number, _STATUS.get(str(one.record.get("status")), "KILLED"), _ended(one))
    client.set_tag(number, _STATE, state)


def _points(client: "mlflow.MlflowClient", number: str, key: str) -> set[tuple[int, float]]:
    return {(point.step, point.value) for point in client.get_metric_history(number, key)}


def _known_as(one: Run) -> str:
    """What tells a run from all others: its own number; of an older record its folder and when it was begun."""
    old = f"{one.folder.resolve()} {one.record.get('started')}"
    return str(one.record.get("id") or hashlib.sha256(old.encode()).hexdigest()[:32])


def _state(one: Run) -> str:
    """Changes when a run goes on."""
    said = json.dumps([one.record, len(one.load_history())], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _settings(one: Run) -> Mapping[str, Any]:
    recipe = one.record.get("recipe", {})
    return flat(recipe) if isinstance(recipe, Mapping) else {}


def _figures(one: Run) -> "list[Metric]":
    """All figures of a run, each at its own time."""
    from mlflow.entities import Metric

    figures, moment = [], float(_began(one))
    for row in one.load_history():
        moment += 1000 * _number(row.get("seconds"))
        figures += [
            Metric(key, value, int(moment), int(row["epoch"])) for key, value in row.items() if isinstance(value, float)
        ]
    test = one.record.get("test", {})
    return figures + [
        Metric(f"test_{key}", float(value), _ended(one), 0)
        for key, value in test.items()
        if isinstance(value, int | float)
    ]


def _began(one: Run) -> int:
    """When a run was begun, in milliseconds since 1970; of a record without a time when it was written."""
    return _moment(one.record.get("started")) or int((one.folder / "run.json").stat().st_mtime * 1000)


def _ended(one: Run) -> int:
    """When a run ended: what its record says, else as long after its beginning as it trained."""
    return _moment(one.record.get("finished")) or _began(one) + int(1000 * _number(one.record.get("seconds")))


def _moment(text: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        return None


def _tags(one: Run) -> dict[str, str]:
    facts = {
        "data": one.record.get("dataset", {}).get("name"),
        "command": one.record.get("command"),
        "sweep": one.record.get("sweep"),
        "status": one.record.get("status"),
        "folder": str(one.folder.resolve()),
    }
    return {key: str(value) for key, value in facts.items() if value}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
