"""Who is at work in a folder that several processes share."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from foodscene.training import presence


def test_one_at_a_time(tmp_path: Path) -> None:
    held = (
        "import sys, time, pathlib\n"
        "from foodscene.training import presence\n"
        "with presence.locked(pathlib.Path(sys.argv[1])):\n"
        "    print(time.time(), flush=True); time.sleep(0.5); print(time.time(), flush=True)\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", held, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    spans = sorted(tuple(map(float, one.communicate(timeout=60)[0].split())) for one in both)
    assert len(spans) == 2
    assert spans[0][1] <= spans[1][0] + 0.01


def test_a_process_is_gone_when_it_was_killed_and_not_before(tmp_path: Path) -> None:
    living = (
        "import sys, time, pathlib\n"
        "from foodscene.training import presence\n"
        "with presence.alive(pathlib.Path(sys.argv[1])) as name:\n"
        "    print(name, flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", living, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    name = process.stdout.readline().strip()
    assert not presence.is_gone(tmp_path, name)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 5
    while not presence.is_gone(tmp_path, name) and time.monotonic() < until:
        time.sleep(0.05)
    assert presence.is_gone(tmp_path, name)
    assert not presence.is_gone(tmp_path, "another-machine-0123"), "of which nothing is known"
