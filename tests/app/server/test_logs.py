import json
import logging
import os
import re
import signal
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest import mock

import httpx
import pytest

from foodscene.app.server import logs

pytestmark = pytest.mark.slow


def record(message: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "levelno": logging.INFO, "levelname": "INFO"})


def handler(descriptor: int) -> logs.Background:
    background = logs.Background(descriptor)
    background.setFormatter(logs.JsonLines())
    return background


def full_pipe() -> tuple[int, int]:
    """Both ends of a pipe that has no room for another byte."""
    out, into = os.pipe()
    os.set_blocking(into, False)
    with suppress(BlockingIOError):
        while True:
            os.write(into, b"x" * 511 + b"\n")
    os.set_blocking(into, True)
    return out, into


def lines_of(out: int, count: int) -> list[dict[str, Any]]:
    """The first lines behind what filled the pipe."""
    with os.fdopen(out) as lines:
        ours = (json.loads(line) for line in lines if not line.startswith("x"))
        return [next(ours) for _ in range(count)]


def test_lines_arrive_whole_and_in_order() -> None:
    out, into = os.pipe()
    background = handler(into)
    for number in range(100):
        background.handle(record(f"line {number}"))
    background.finish()
    os.close(into)
    with os.fdopen(out) as lines:
        assert [json.loads(line)["message"] for line in lines] == [f"line {number}" for number in range(100)]


def test_people_read_words(monkeypatch: pytest.MonkeyPatch) -> None:
    words = logs.Words()
    said = {"method": "POST", "path": "/api/v1/predict\x1b[2J", "status": 200, "milliseconds": 1234.5, "client": "::1"}
    line = words.format(logging.makeLogRecord({**record("answered").__dict__, **said}))
    assert re.fullmatch(r"\d\d:\d\d:\d\d  POST /api/v1/predict\\x1b\[2J  200  1,23[45] ms  ::1", line)
    warned = logging.makeLogRecord({"msg": "Low.", "levelno": logging.WARNING, "levelname": "WARNING"})
    assert words.format(warned).endswith("  WARNING: Low.")
    for at_terminal, formatter in ((True, logs.Words), (False, logs.JsonLines)):
        monkeypatch.setattr(sys, "stderr", mock.Mock(isatty=mock.Mock(return_value=at_terminal)))
        assert logs.config("info")["formatters"] == {"lines": {"()": f"{logs.__name__}.{formatter.__name__}"}}


def test_a_signal_may_log_while_it_interrupts_a_line() -> None:
    background = handler(os.open(os.devnull, os.O_WRONLY))
    interrupted = 0

    def log(*_: object) -> None:
        nonlocal interrupted
        interrupted += 1
        background.handle(record("signal"))

    before = signal.signal(signal.SIGALRM, log)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            background.handle(record("line"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    background.finish()
    assert interrupted > 50


def test_lines_that_nobody_reads_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_MOST_WAITING", 50)
    monkeypatch.setattr(logs, "_FLUSH_SECONDS", 0.1)
    out, into = full_pipe()
    background = handler(into)
    background.handle(record("first"))
    time.sleep(0.2)
    started = time.perf_counter()
    for _ in range(80):
        background.handle(record("short"))
    background.finish()
    assert time.perf_counter() - started < 1
    assert 29 <= background.dropped <= 31
    seen = [line["message"] for line in lines_of(out, 52)]
    assert seen[0] == "first"
    assert seen[-1].endswith("lines were dropped: nobody read them.")


def test_a_log_that_nobody_reads_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_FLUSH_SECONDS", 0.1)
    out, into = full_pipe()
    background = handler(into)
    tracemalloc.start()
    for _ in range(10_000):
        line = record("answered")
        line.path = "/" + "a" * 60_000
        background.handle(line)
        try:
            raise ValueError("y" * 60_000)
        except ValueError:
            failed = record("failed %s")
            failed.args, failed.exc_info = ("z" * 60_000,), sys.exc_info()
        background.handle(failed)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 40_000_000
    assert background.dropped >= 14_000
    seen = lines_of(out, 10)
    assert seen[0]["path"].startswith("/aaa")
    assert "ValueError" in seen[1]["error"]
    assert all(len(line.get("path", "")) < 1_100 for line in seen)


@pytest.mark.slow
def test_the_service_answers_while_nobody_reads_its_log(serve: Callable[..., Any], red: bytes) -> None:
    out, into = os.pipe()
    server = serve(stderr=into)
    os.close(into)
    head = {"x-request-id": "x" * 64}
    with httpx.Client(timeout=10) as client:
        for _ in range(700):  # lines of more than a hundred bytes each: a pipe holds 65,536 bytes
            assert client.get(f"{server.url}/healthz", headers=head).status_code == 200
        assert client.post(f"{server.url}/models/colours", content=red).status_code == 200
    assert server.stop() == -signal.SIGTERM
    os.close(out)
