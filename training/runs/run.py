"""A run's folder: what a training was, how it went, and everything it needs to go on. Complete at every moment.

run.json          everything needed to repeat the run, and its figures
checkpoint.npz    the state after the last epoch: weights that learn, optimizer, random seeds, history
best.npz          the weights of the epoch with the best validation loss
history.csv       a row per epoch
tensorboard/      the same for TensorBoard
models/<name>/    the bundle
"""

import csv
import io
import json
import re
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError
from foodscene.models.files import UnreadableFile, check_writable, write, writing
from foodscene.models.files import read as read_file
from foodscene.training import locks

Row = dict[str, Any]
"""An epoch of a history: its number from 1, its phase, loss, top1, val_loss, val_top1, photos_per_second, seconds …"""

# Of a run's folder, for each weight: the best one and the bundle's two files; then, for each that learns, itself and
# its optimizer's two, in the checkpoint and in the one that is to replace it.
_BYTES_KEPT, _BYTES_LEARNING = 12, 24
_HISTORY, _LOCK = "history", ".lock"
_MOST_RECORD = 64_000_000
"""Bytes of a `run.json`: one of a thousand classes has up to 1 MB."""


class RunError(FoodsceneError, ValueError):
    """A run folder that cannot be used or gone on with. Its text says why."""


@dataclass
class Run:
    """A run folder and its record, which is what `run.json` says."""

    folder: Path
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def finished(self) -> bool:
        return self.record.get("status") == "finished"

    @property
    def stillborn(self) -> bool:
        """Whether it failed before its first epoch was over: a wrong path, say. Nothing is lost with it."""
        return self.record.get("status") == "failed" and not (self.folder / "checkpoint.npz").exists()

    def update(self, **facts: Any) -> None:
        """Add to the record, and write it."""
        self.record.update(facts)
        write(self.folder / "run.json", (json.dumps(self.record, indent=2) + "\n").encode())

    def check_room(self, weights: int, learning: int) -> None:
        """Make sure that a network of so many weights, of which so many learn, can be kept: raises `OSError`."""
        check_writable(self.folder, _BYTES_KEPT * weights + _BYTES_LEARNING * learning)

    def save_checkpoint(self, state: Sequence[NDArray[Any]], history: list[Row]) -> None:
        """Keep the state after an epoch: one file, so that weights and history never disagree."""
        text = np.frombuffer(json.dumps(history).encode(), dtype=np.uint8)
        _save_arrays(self.folder / "checkpoint.npz", {**_numbered(state), _HISTORY: text})
        self.save_history(history)

    def save_history(self, history: list[Row]) -> None:
        """Write the epochs as a table."""
        write(self.folder / "history.csv", _csv(history).encode())

    def load_history(self) -> list[Row]:
        """The epochs of the table, without the checkpoint's weights; none where none is over yet."""
        path = self.folder / "history.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [{key: _number(text) for key, text in row.items()} for row in csv.DictReader(file)]

    def load_checkpoint(self) -> tuple[list[NDArray[Any]], list[Row]]:
        """The state and history of the last epoch that was kept; both empty before the first.

        Raises `RunError` where the file is damaged, which no interruption of a run leaves behind.
        """
        path = self.folder / "checkpoint.npz"
        if not path.exists():
            return [], []
        arrays = _load_arrays(path)
        try:
            return _ordered(arrays), json.loads(arrays[_HISTORY].tobytes())
        except (KeyError, ValueError, RecursionError) as error:
            raise RunError(f"{path} cannot be read: it has no history of epochs ({error}).") from error

    def save_best(self, weights: Sequence[NDArray[Any]]) -> None:
        """Keep the weights of the best epoch so far. To be called before `save_checkpoint`: a run that is killed in
        between trains the epoch again, and comes to the same weights.
        """
        _save_arrays(self.folder / "best.npz", _numbered(weights))

    def load_best(self) -> list[NDArray[Any]]:
        """The weights of the best epoch."""
        return _ordered(_load_arrays(self.folder / "best.npz"))


def new_folder(root: Path, recipe: str, when: datetime) -> Path:
    """Make the folder of a new run below `root`, named by the time and the recipe; with a number where two began in one
    second.
    """
    check_writable(root)
    root.mkdir(parents=True, exist_ok=True)
    name = folder_name(recipe, when)
    for ending in ("", *(f"-{number}" for number in range(2, 10_000))):
        try:
            (root / f"{name}{ending}").mkdir()  # one step: of several processes one makes it
        except FileExistsError:
            continue
        return root / f"{name}{ending}"
    raise RunError(f"{root} holds thousands of runs of this second. Name a folder: --run")


def check_new(folder: Path) -> None:
    """Make sure that a run can begin in a folder. Raises `RunError` where another run or something else is in it."""
    if folder.is_symlink() and not folder.exists():
        raise RunError(f"{folder} is a link to a folder that is not there. Make that folder, or name another one.")
    if is_run(folder):
        if not read_run(folder).stillborn:
            raise RunError(f"{folder} holds a run already. Go on with it by --resume, or name another folder.")
    elif folder.is_dir() and (others := sorted(path.name for path in folder.iterdir() if path.name != _LOCK)):
        raise RunError(f"{folder} holds {others[0]}, and no run: a run takes a folder of its own. Name another one.")
    check_writable(folder)


def create(folder: Path, record: dict[str, Any]) -> Run:
    """Begin a run in a new folder, or in one where a run failed before its first epoch was over. Raises `RunError`."""
    check_new(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder)
    run.update(**record)
    return run


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the one process that trains in a run's folder, until the block ends. Raises `RunError` if another does."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locks.held(folder / _LOCK):
            yield
    except locks.LockedError as error:
        raise RunError(f"{folder} is being trained by {error.holder or 'another process'}.") from None


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run of ours: a record that says which recipe was begun when."""
    try:
        record = read_run(folder).record
    except RunError:
        return False
    return isinstance(record.get("recipe"), dict) and {"status", "started"} <= record.keys()


def read_run(folder: Path) -> Run:
    """The run in a folder. Raises `RunError`."""
    try:
        record = json.loads(read_file(folder / "run.json", _MOST_RECORD))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder} is no run's folder: it has no run.json.") from None
    except (UnreadableFile, OSError) as error:
        raise RunError(f"{folder.name} cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{folder / 'run.json'} is damaged: {error}") from None
    if not isinstance(record, dict):
        raise RunError(f"{folder / 'run.json'} is no record of a run.")
    return Run(folder, record)


def newest_unfinished(root: Path, recipe: str | None) -> Run:
    """The last run below `root` that has not come to its end and that nobody trains, of a recipe or of any.

    Runs that failed at once are passed over: they have nothing to go on with, and would only fail again. Raises
    `RunError` where there is none.
    """
    paths = sorted(root.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    runs = [read_run(path.parent) for path in paths if is_run(path.parent)]
    runs = [
        run for run in runs if not (run.finished or run.stillborn) and recipe in (None, run.record["recipe"]["name"])
    ]
    if not runs:
        raise RunError(f"Nothing to resume: {root} holds no unfinished run{f' of {recipe}' if recipe else ''}.")
    for run in reversed(runs):
        if not (holder := locks.holder(run.folder / _LOCK)):
            return run
    raise RunError(f"Nothing to resume: {run.folder} is being trained by {holder}.")


def folder_name(recipe: str, now: datetime) -> str:
    """`20261121-093005-scenes-custom-cnn`: sorts by time, and is a file name everywhere."""
    return f"{now:%Y%m%d-%H%M%S}-{re.sub(r'[^A-Za-z0-9._]+', '-', recipe)}"


def new_id() -> str:
    """What a run is known by wherever its folder is moved: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def now() -> str:
    """The present moment as a record has it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with writing(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def _numbered(arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{index:05}": array for index, array in enumerate(arrays)}


def _ordered(arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    return [arrays[name] for name in sorted(arrays) if name != _HISTORY]


def _csv(history: list[Row]) -> str:
    text = io.StringIO()
    columns = list(dict.fromkeys(column for row in history for column in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
