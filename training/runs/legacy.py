"""Records of the old kind, one JSON file for each training, taken into the run log."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from foodscene.training.runs import run
from foodscene.training.runs.run import Run, RunError


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


def _today(name: str) -> str:
    """The name that a figure has in our histories."""
    return re.sub(r"(categorical_|sparse_categorical_)?acc(uracy)?$", "top1", name)


def _old_settings(old: Mapping[str, Any]) -> dict[str, Any]:
    training = {key: old[key] for key in ("batch_size", "epochs", "loss") if key in old}
    return {"training": training, **({"optimizer": {"name": old["optimizer"]}} if "optimizer" in old else {})}
