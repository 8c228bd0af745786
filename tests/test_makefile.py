"""`make serve` mends what an earlier start left behind, or says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def make(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """As from a shell: a make that is called by `make test` would say which folders it enters."""
    shell = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(
        ["make", *options], cwd=folder, env=shell, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a .venv as it is when everything is installed."""
    folder = tmp_path / "a checkout"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements-serve.lock"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (folder / ".venv" / "bin" / "pip").write_text(f"#!/bin/sh\n'''exec' \"{folder}/.venv/bin/python\"\n")
    (folder / ".venv" / "serve").touch()
    return folder


def test_what_is_whole_stays(checkout: Path) -> None:
    assert make(checkout, "-n", "serve").stdout == ".venv/bin/foodscene serve\n"
    assert not (checkout / ".venv-aside").exists()


@pytest.mark.parametrize("left", ["no pip", "no python", "unfinished", "moved"])
def test_what_is_half_made_or_moved_is_made_anew(left: str, checkout: Path) -> None:
    if left == "no pip":
        (checkout / ".venv" / "bin" / "pip").unlink()
    elif left == "no python":
        (checkout / ".venv" / "bin" / "python").unlink()
    elif left == "unfinished":
        (checkout / ".venv" / "unfinished").touch()
    else:
        checkout = checkout.rename(checkout.with_name("renamed"))
    planned = make(checkout, "-n", "serve")
    assert planned.returncode == 0, planned.stderr
    assert "made anew" in planned.stdout
    assert "-m venv .venv" in planned.stdout
    assert (checkout / ".venv-aside").is_dir()
    assert not (checkout / ".venv").exists()


def test_python_without_venv_leaves_nothing_and_says_what_to_install(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    fails = checkout / "python"
    fails.write_text('#!/bin/sh\ntest "$2" = venv || exit 0\nmkdir .venv; echo ensurepip is not available; exit 1\n')
    fails.chmod(0o755)
    done = make(checkout, f"PYTHON='{fails}'", ".venv/serve")
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stdout
    assert not (checkout / ".venv").exists()


def test_an_older_python_is_told(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    old = checkout / "python"
    old.write_text("#!/bin/sh\necho 'foodscene needs Python 3.11 or later' >&2; exit 1\n")
    old.chmod(0o755)
    assert "3.11 or later" in make(checkout, f"PYTHON='{old}'", ".venv/serve").stderr
