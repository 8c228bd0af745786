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
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = dict[str, Any]
"""An epoch of a history: its number from 1, its phase, loss, top1, val_loss, val_top1, photos_per_second, seconds …"""

_HISTORY = "history"


class RunError(ValueError):
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
        replace(self.folder / "run.json", (json.dumps(self.record, indent=2) + "\n").encode())

    def save_checkpoint(self, state: Sequence[NDArray[Any]], history: list[Row]) -> None:
        """Keep the state after an epoch: one file, so that weights and history never disagree."""
        text = np.frombuffer(json.dumps(history).encode(), dtype=np.uint8)
        _save_arrays(self.folder / "checkpoint.npz", {**_numbered(state), _HISTORY: text})
        self.save_history(history)

    def save_history(self, history: list[Row]) -> None:
        """Write the epochs as a table."""
        replace(self.folder / "history.csv", _csv(history).encode())

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
        return _ordered(arrays), json.loads(arrays[_HISTORY].tobytes())

    def save_best(self, weights: Sequence[NDArray[Any]]) -> None:
        """Keep the weights of the best epoch so far. To be called before `save_checkpoint`: a run that is killed in
        between trains the epoch again, and comes to the same weights.
        """
        _save_arrays(self.folder / "best.npz", _numbered(weights))

    def load_best(self) -> list[NDArray[Any]]:
        """The weights of the best epoch."""
        return _ordered(_load_arrays(self.folder / "best.npz"))


def create(folder: Path, record: dict[str, Any]) -> Run:
    """Begin a run in a new folder, or in one where a run failed before its first epoch was over.

    Raises `RunError` where another run is there already.
    """
    if (folder / "run.json").exists() and not read(folder).stillborn:
        raise RunError(f"{folder} holds a run already. Go on with it by --resume, or name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder)
    run.update(**record)
    return run


def read(folder: Path) -> Run:
    """The run in a folder. Raises `RunError`."""
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{folder} is no run's folder: it has no run.json.") from None
    except ValueError as error:
        raise RunError(f"{folder / 'run.json'} is damaged: {error}") from None
    return Run(folder, record)


def newest_unfinished(root: Path, recipe: str | None) -> Run:
    """The last run below `root` that has not come to its end, of a recipe or of any. Raises `RunError`.

    Runs that failed at once are passed over: they have nothing to go on with, and would only fail again.
    """
    runs = [read(path.parent) for path in sorted(root.glob("*/run.json"), key=lambda path: path.stat().st_mtime)]
    runs = [
        run for run in runs if not (run.finished or run.stillborn) and recipe in (None, run.record["recipe"]["name"])
    ]
    if not runs:
        raise RunError(f"Nothing to resume: {root} holds no unfinished run{f' of {recipe}' if recipe else ''}.")
    return runs[-1]


def folder_name(recipe: str, now: datetime) -> str:
    """`20261121-093005-scenes-custom-cnn`: sorts by time, and is a file name everywhere."""
    return f"{now:%Y%m%d-%H%M%S}-{re.sub(r'[^A-Za-z0-9._]+', '-', recipe)}"


def now() -> str:
    """The present moment as a record has it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step: whoever reads it, or a run that is killed, sees the old content or the new."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


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
