"""The examples run as their README says."""

import os
import resource
import socket
import subprocess
from pathlib import Path

import pytest

from tests.docs.conftest import ROOT


@pytest.mark.slow
def test_from_drawn_photos_to_a_served_bundle_in_two_minutes(sandbox: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    before = _processor_seconds()
    done = subprocess.run(
        ["sh", str(ROOT / "examples" / "train.sh"), "made"],
        cwd=sandbox,
        env={**os.environ, "FOODSCENE_PORT": port},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (sandbox / "made" / "bundles" / "dishes" / "model.h5").is_file()
    answers = [line for line in done.stdout.splitlines() if '"predictions"' in line]
    right = [line for line in answers if f'"label": "{Path(line.partition(": {")[0]).parent.name}"' in line]
    assert len(answers) == 6
    assert len(right) >= 5, done.stdout
    assert _processor_seconds() - before < 120  # on a machine that does nothing else, it takes less time than that


def test_the_client_tells_of_answers_and_of_problems(sandbox: Path, url: str) -> None:
    command = ["python", "examples/client.py", "--url", url, "photo.jpg", "notes.txt"]
    done = subprocess.run(command, cwd=sandbox, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("photo.jpg: ")
    assert (
        second
        == "notes.txt: This is not an image that is read here. Send a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF."
    )


def test_photos_are_sorted_into_folders(sandbox: Path, url: str) -> None:
    (sandbox / "photos" / "notes.txt").write_text("This is no photo.")
    command = ["sh", "examples/sort.sh", "photos", "sorted"]
    environment = {**os.environ, "FOODSCENE_URL": url}
    done = subprocess.run(command, cwd=sandbox, env=environment, capture_output=True, text=True, check=True)
    assert {photo.name for photo in (sandbox / "sorted").glob("*/*")} == {"photo.jpg", "one.jpg", "two.jpg"}
    assert "photos/notes.txt: This is not an image" in done.stderr


def _processor_seconds() -> float:
    """What the processes that were started here, and have ended, took of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
