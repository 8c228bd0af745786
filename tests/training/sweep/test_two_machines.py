"""Two machines search one space, one of them killed again and again: the same best as without, trained once."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

SPACE = """recipe = "food/basic"
search = "grid"
settings = { training.epochs = 6, input.size = 16, model.filters = [4] }
final = { training.epochs = 8 }
[space]
optimizer.learning_rate = [0.0003, 0.001, 0.003]
seed = [1, 2]
optimizer.name = ["adam", "sgd"]
"""
ROOT = Path(__file__).parents[3]


def begin(host: str, folder: Path, where: Path) -> subprocess.Popen[bytes]:
    """A search as on a machine of that name, in a group of processes of its own."""
    program = [sys.executable, "-m", "foodscene", "sweep", "space.toml", "--data", "photos", "--folder", str(folder)]
    named = ["unshare", "--user", "--map-root-user", "--uts", "sh", "-c", f'hostname {host}; exec "$@"', "sh"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FOODSCENE_CACHE": str(where / "cache")}
    with (where / f"{folder.name}-{host}.log").open("a") as log:
        return subprocess.Popen(
            [*named, *program, "--jobs", "1"],
            cwd=where,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def trials(folder: Path) -> dict[str, tuple[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return {row["trial"]: (row["state"], row["val_top1"]) for row in csv.DictReader(file)}


def test_twelve_trials_on_two_machines_of_which_one_is_killed_five_times(
    tmp_path: Path, folder: Callable[..., Path], photo: Callable[..., bytes]
) -> None:
    if not shutil.which("unshare") or subprocess.run(["unshare", "--user", "--uts", "true"], check=False).returncode:
        pytest.skip("needs namespaces of host names")
    folder(
        {
            f"{label}/{number}.jpg": photo(100 * kind + number)
            for kind, label in enumerate("abc")
            for number in range(60)
        }
    )
    (tmp_path / "space.toml").write_text(SPACE)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert begin("alone", whole, tmp_path).wait(1500) == 0

    chance = random.Random(0)
    steady, victim = begin("steady", broken, tmp_path), begin("victim-0", broken, tmp_path)
    for number in range(1, 6):
        time.sleep(chance.uniform(3, 15))
        kill(victim)
        victim = begin(f"victim-{number}", broken, tmp_path)
    assert (steady.wait(1500), victim.wait(1500)) == (0, 0)

    assert trials(broken) == trials(whole)
    assert {state for state, _ in trials(broken).values()} == {"complete"}
    assert len(trials(broken)) == 12
    records = [json.loads((place / "best" / "run.json").read_text()) for place in (whole, broken)]
    assert records[0]["recipe"] == records[1]["recipe"]
    assert records[0]["best"] == records[1]["best"]
    assert not (broken / "best-2").exists()
    said = "".join(log.read_text() for log in tmp_path.glob("broken-*.log"))
    assert said.count("Report: ") == 1, "trained once"
