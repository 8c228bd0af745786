"""What somebody does on the first day, without internet: a folder of photos to a bundle that says how good it is."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foodscene.models.bundle import read_bundle


@pytest.mark.nightly
def test_sixty_photos_make_a_bundle_with_an_honest_figure(
    folder: Callable[..., Path], photo: Callable[..., bytes], tmp_path: Path
) -> None:
    photos = folder({f"{label}/{n}.jpg": photo(1000 * ord(label) + n) for label in "abc" for n in range(20)}, "mine")
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("KERAS_HOME", "HOME")}
    done = subprocess.run(
        [sys.executable, "-m", "foodscene", "train", photos, "--run", tmp_path / "run"],
        env={**kept, "HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "goes on from the bundle everyday" in done.stdout
    assert "Fold 5 of 5" in done.stdout
    assert "measured on 60 photos, in 5 turns" in done.stdout
    made = read_bundle(tmp_path / "run" / "models" / "photos-few")
    assert made.labels == ("a", "b", "c")
    metrics = made.card.metrics
    assert metrics
    assert (metrics.folds, metrics.images) == (5, 60)
    assert metrics.top1 < 0.7, "the photos are drawn at random: nobody can tell their classes apart"
    assert "Derived from the bundle everyday" in made.card.license
    assert "cross-validation" in (made.folder / "README.md").read_text()
    record: dict[str, Any] = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["command"].endswith("--from everyday")
