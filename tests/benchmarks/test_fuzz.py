"""Attacks that are counted: with a folder, over several runs, and ended before their time."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path

import pytest

from benchmarks import fuzz
from tests.benchmarks.service import Service

ROOT = Path(__file__).parents[2]


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield service
    service.shutdown()
    service.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files, one in a sub-folder; the working directory is beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files" / "more").mkdir(parents=True)
    for name, content in (("b.jpg", b"200 b"), ("a.txt", b"415 a"), ("more/c", b"413 c")):
        (tmp_path / "files" / name).write_bytes(content)
    return tmp_path / "files"


def attack(monkeypatch: pytest.MonkeyPatch, *options: object) -> int:
    monkeypatch.setattr(sys, "argv", ["fuzz", *map(str, options), "--no-costs"])
    return fuzz.main()


def test_a_folder_s_files_are_posted_as_they_are(
    service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attack(monkeypatch, service.url, "--folder", folder, "--model", "mine") == 0
    assert service.got == [("/models/mine", content) for content in (b"415 a", b"200 b", b"413 c")]
    assert "3 uploads: {200: 1, 413: 1, 415: 1}" in capsys.readouterr().out


@pytest.mark.parametrize(("status", "fails"), [(500, True), (502, True), (504, True), (503, False)])
def test_a_file_that_is_answered_with_5xx_is_left_there(
    service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch, status: int, fails: bool
) -> None:
    (folder / "b.jpg").write_bytes(b"%d" % status)
    assert attack(monkeypatch, service.url, "--folder", folder) == fails
    assert len(service.got) == (2 if fails else 3)
    left = Path("fuzz-failure.bin")
    assert (left.read_bytes() == b"%d" % status) if fails else not left.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's memory in /proc")
def test_the_server_s_memory_is_told_from_the_beginning_to_after_the_end(
    service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "_REST", 0.01)
    options = ("--folder", folder, "--pid", os.getpid(), "--runs", "runs.jsonl")
    assert attack(monkeypatch, service.url, *options) == 0
    memory = json.loads(Path("runs.jsonl").read_text())["memory"]
    assert len(memory) == 4
    assert min(memory) > 10


def test_a_service_that_is_gone_is_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    service.server_close()
    assert attack(monkeypatch, service.url, "--folder", folder) == 1


def test_runs_are_added_up(
    service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        assert attack(monkeypatch, service.url, "--folder", folder, "--seed", seed, "--runs", "runs.jsonl") == 0
    assert "In all, 9 uploads: {200: 3, 413: 3, 415: 3}" in capsys.readouterr().out.splitlines()[-1]
    assert [json.loads(line)["seed"] for line in Path("runs.jsonl").read_text().splitlines()] == [0, 1, 2]


def test_several_clients_post_each_upload_once(
    service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = [b"%d %d" % (200 + number % 2, number) for number in range(40)]
    for content in contents:
        (folder / content.decode()).write_bytes(content)
    assert attack(monkeypatch, service.url, "--folder", folder, "--clients", 4) == 0
    assert sorted(content for _, content in service.got) == sorted([*contents, b"200 b", b"415 a", b"413 c"])
    assert "43 uploads: {200: 21, 201: 20, 413: 1, 415: 1}" in capsys.readouterr().out


def test_costly_photos_are_drawn_once_and_no_two_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def costly(number: int) -> bytes:
        drawn.append(number)
        return b"costly"

    monkeypatch.setattr(fuzz, "FLOODS", {str(number): lambda number=number: costly(number) for number in range(3)})
    monkeypatch.setattr(fuzz, "HEAVY", {})
    sent = [list(islice(fuzz.with_costly(repeat(b"damaged"), 20, random.Random(seed)), 2000)) for seed in (1, 1, 2)]
    assert sorted(drawn) == [0, 1, 2]
    assert sent[0] == sent[1] != sent[2]
    found = [photo for photo in sent[0] if photo != b"damaged"]
    assert len(set(found)) == len(found) == 100
    assert all(photo.startswith(b"costly") for photo in found)


@pytest.mark.slow
def test_an_attack_that_is_ended_early_tells_what_came_back(service: Service, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.fuzz", service.url, "--uploads", "1000000", "--no-costs"]
    process = subprocess.Popen(
        [*command, "--costly", "1000000"],
        cwd=tmp_path,  # where it would leave the upload of a failure
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while len(service.got) < 10:
        assert time.monotonic() < until
        time.sleep(0.02)
    process.terminate()
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.startswith("Ended early.\nSeed 0, ")
    assert "uploads: {200: " in said
