"""SIGTERM ends the program from its first moment, as the first process of a container too."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
APART = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]


@contextmanager
def first_process(*command: str, where: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command as the first process of its own: `unshare`, and the command as it is numbered outside."""
    if not shutil.which("unshare") or subprocess.run([*APART, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs namespaces of processes")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*APART, sys.executable, *command], cwd=where, env=environment, stderr=-3) as outer:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        until = time.monotonic() + 30
        while not (found := children.read_text().split()):
            assert outer.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)
        try:
            yield outer, int(found[0])
        finally:
            outer.kill()


def until_it_handles(number: signal.Signals, process: int) -> None:
    """Until a process has a handler of its own for a signal: as early as one can reach it at all."""
    until = time.monotonic() + 30
    while True:
        status = Path(f"/proc/{process}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught >> (number - 1) & 1:
            return
        assert time.monotonic() < until, "SIGTERM is never handled"
        time.sleep(0.005)


@pytest.mark.parametrize("command", ["serve", "train", "sweep"])
def test_the_first_process_ends_before_it_has_begun(command: str, tmp_path: Path) -> None:
    arguments = {"serve": ["--port", "0"], "train": ["nothing"], "sweep": ["nothing", "--data", "nothing"]}[command]
    with first_process("-m", "foodscene", command, *arguments, where=tmp_path) as (outer, process):
        until_it_handles(signal.SIGTERM, process)
        os.kill(process, signal.SIGTERM)
        assert outer.wait(20) == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


def test_the_first_process_ends_though_nothing_of_python_runs_any_more(tmp_path: Path) -> None:
    stuck = (
        "import ctypes; from foodscene.app.server import drain; drain._end_within(0.3); ctypes.PyDLL(None).sleep(60)"
    )
    with first_process("-c", stuck, where=tmp_path) as (outer, _):
        assert outer.wait(30) == 1


@pytest.mark.nightly
def test_the_first_process_ends_while_it_trains(tmp_path: Path) -> None:
    from tests.app.conftest import picture

    for label, colour in (("a", "red"), ("b", "blue")):
        for number in range(30):
            place = tmp_path / "photos" / label / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(picture(colour, (20 + number, 20)))
    settings = ["--set", "training.epochs=9999", "--set", "input.size=16", "--set", "model.filters=[4]"]
    train = ["-m", "foodscene", "train", "food/basic", "--data", "photos", "--run", "run", *settings]
    with first_process(*train, where=tmp_path) as (outer, process):
        until = time.monotonic() + 120
        while not (tmp_path / "run" / "history.csv").exists():
            assert outer.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        os.kill(process, signal.SIGTERM)
        assert outer.wait(60) == 130
    assert '"interrupted"' in (tmp_path / "run" / "run.json").read_text()
