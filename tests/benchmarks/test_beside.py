"""What `benchmarks.beside` began, it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BESIDE = """
import sys
from benchmarks import beside, serving
command = [sys.executable, "-m", "tests.benchmarks.service", "{port}"]
beside.sides = lambda *_, **__: [serving.Side("one", command, "/api/v1/predict", {port}, {{}})]
sys.exit(beside.main())
"""


def processes(text: str) -> list[int]:
    """Those whose command line holds a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_text(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            pass  # it has ended
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_ended_early_it_has_told_its_turns_and_leaves_no_process(photo: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo(1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", _BESIDE.format(port=port), "--photos", str(tmp_path), "--uploads", "1000000"]
    command += ["--warm-up", "1", "--seconds", "0.2", "--runs", str(tmp_path / "runs.jsonl")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Turn 3: "):
            break
    assert any(line.startswith("Small photos alone: ") for line in lines)
    servers = processes(f"tests.benchmarks.service\0{port}")
    attackers = processes(f"benchmarks.fuzz\0http://127.0.0.1:{port}")
    assert (len(servers), len(attackers)) == (1, 2)
    process.terminate()
    process.stdout.read()
    assert process.wait(60) == 128 + signal.SIGTERM
    for ended in servers + attackers:
        with pytest.raises(ProcessLookupError):
            os.kill(ended, 0)
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 2
