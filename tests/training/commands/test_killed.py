"""`kill -9` at random moments of whole runs, from the first photo read to the report and the bundle being written.

The runs are forked from a process that has imported all that training needs, which takes longer than training here.
"""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.kills import Commands, commands, kills
from foodscene.models import bundle
from foodscene.training.runs import run
from foodscene.training.runs.run import Run

KILLS, EPOCHS = 20, 5
RECIPE = f"""extends = "food/basic"
title = "Own"
[input]
size = 16
[training]
epochs = {EPOCHS}
batch_size = 4
"""


def epochs(place: Path) -> int:
    """How many epochs a run has kept."""
    return len(Run(place).load_checkpoint()[1])


# A run is killed some time after it has come so far.
STAGES: list[Callable[[Path], bool]] = [
    lambda place: True,
    lambda place: (place / "run.json").exists(),
    lambda place: (place / "checkpoint.npz").exists(),
    lambda place: epochs(place) == EPOCHS,
    lambda place: any((place / "models").glob(".*")),  # the bundle is being written
    lambda place: any((place / "models").glob("[!.]*")),
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def trainer(log: Path) -> Iterator[Commands]:
    with commands(log) as run:
        yield run


def look(place: Path) -> int:
    """What a killed run leaves is whole: its record, its checkpoint, and its bundle, of which it counts how many."""
    assert run.read_run(place).record["recipe"]["name"] == "own"
    state, rows = Run(place).load_checkpoint()
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert bool(state) == bool(rows)
    found = list((place / "models").glob("[!.]*"))
    assert all(bundle.read_bundle(folder).labels == ("a", "b") for folder in found)
    return len(found)


@pytest.mark.nightly
@pytest.mark.parametrize("backend", ["keras", "scratch"])
def test_a_run_goes_on_wherever_it_was_killed(
    tmp_path: Path,
    folder: Callable[..., Path],
    two_classes: dict[str, bytes],
    trainer: Commands,
    log: Path,
    backend: str,
) -> None:
    (tmp_path / "own.toml").write_text(RECIPE)
    begin = ["train", tmp_path / "own.toml", "--data", folder(two_classes), "--backend", backend, "--run"]
    place, kept, killed, written = tmp_path / "run", 0, 0, 0
    rng = random.Random(0)
    while killed < KILLS:
        begun = (place / "run.json").exists()
        process = trainer.start(*(["train", "--resume", "--run"] if begun else begin), place)
        reached = STAGES[killed % len(STAGES)]
        while not reached(place) and Path(f"/proc/{process}").exists():
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        code = trainer.kill(process)
        assert code in (0, -signal.SIGKILL), log.read_text()
        killed += code != 0
        if (place / "run.json").exists():
            written += look(place)
            assert epochs(place) >= kept
            kept = epochs(place)
            if run.read_run(place).finished:
                place, kept = tmp_path / f"run-{killed}", 0
    assert written
    if (place / "run.json").exists():
        trainer.start("train", "--resume", "--run", place)
        assert trainer.wait() == 0, log.read_text()
        assert look(place) == 1


@pytest.mark.nightly
def test_what_people_own_is_there_after_every_kill(tmp_path: Path) -> None:
    assert not list(kills(tmp_path, times=1))
