import platform
import subprocess
import sys

import pytest

USE = """
import os
from foodscene.app.server.memory import give_back_freed

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

{call}
before = resident()
b"x" * 30_000_000
blocks = [b"x" * size for _ in range(10) for size in (5_000_000, 100_000)]
del blocks[::2]
print((resident() - before) // 1_000_000)
"""


def kept(call: str) -> int:
    """Megabytes that a process keeps after it has freed large blocks among small ones."""
    done = subprocess.run([sys.executable, "-c", USE.format(call=call)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")
def test_freed_photos_leave_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept("give_back_freed()") < 10
    assert kept("") > 30
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "33554432")
    assert kept("give_back_freed()") > 30
