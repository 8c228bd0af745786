"""One process at a time, living ones alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foodscene.training import locks
from foodscene.training.locks import LockedError

HOLDER = (
    "import sys, time, pathlib\nfrom foodscene.training import locks\n"
    "with locks.held(pathlib.Path(sys.argv[1])):\n"
    "    print(flush=True); sys.stdin.read()\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


def hold(path: Path) -> subprocess.Popen[bytes]:
    """A process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"\n"
    return process


def say(path: Path, seconds_ago: float) -> None:
    """As if a process on another machine had touched its lock some time ago."""
    path.write_text(json.dumps({"process": 7, "host": "elsewhere", "system": "another", "since": "noon"}))
    then = time.time() - seconds_ago
    os.utime(path, (then, then))


def test_a_second_process_is_told_who_holds_it(path: Path) -> None:
    with hold(path) as process:
        with pytest.raises(LockedError, match=f"process {process.pid} on ") as caught, locks.held(path):
            pass
        assert caught.value.holder == locks.holder(path)
        process.communicate(timeout=60)
    assert not path.exists()
    with locks.held(path):
        assert locks.holder(path)
    assert locks.holder(path) is None


def test_a_dead_process_holds_nothing(path: Path) -> None:
    with hold(path) as process:
        os.kill(process.pid, signal.SIGKILL)
    assert path.exists()
    assert locks.holder(path) is None
    with locks.held(path):
        pass


def test_one_can_wait(path: Path) -> None:
    with hold(path) as process:
        assert process.stdin
        began = time.monotonic()
        process.stdin.close()
        with locks.held(path, wait=True):
            assert time.monotonic() - began < 10


def test_another_machine_holds_it_as_long_as_it_gives_signs_of_life(path: Path) -> None:
    say(path, seconds_ago=20)
    with pytest.raises(LockedError, match="process 7 on elsewhere since noon"), locks.held(path):
        pass
    say(path, seconds_ago=1000)
    with locks.held(path):
        assert path.read_text() != ""


def test_a_holder_gives_signs_of_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_BEAT", 0.05)
    with locks.held(path):
        os.utime(path, (0, 0))
        until = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.02)
        assert path.stat().st_mtime > time.time() - 60


@pytest.mark.parametrize("content", ["", "{", '"a"', "[1]"])
def test_a_lock_with_anything_in_it_is_anybody_s(path: Path, content: str) -> None:
    path.write_text(content)
    with locks.held(path):
        pass
