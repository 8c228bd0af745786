import json
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from foodscene.app.server import logs


def record(message: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "levelno": logging.INFO, "levelname": "INFO"})


def handler(descriptor: int) -> logs.Background:
    background = logs.Background(descriptor)
    background.setFormatter(logs.JsonLines())
    return background


def test_lines_arrive_whole_and_in_order() -> None:
    out, into = os.pipe()
    background = handler(into)
    for number in range(100):
        background.handle(record(f"line {number}"))
    background.finish()
    os.close(into)
    with os.fdopen(out) as lines:
        assert [json.loads(line)["message"] for line in lines] == [f"line {number}" for number in range(100)]


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
    monkeypatch.setattr(logs, "_LAST_WORDS", 0.1)
    out, into = os.pipe()
    background = handler(into)
    long = "x" * 100_000  # more than a pipe holds
    background.handle(record(long))
    time.sleep(0.2)
    started = time.perf_counter()
    for _ in range(80):
        background.handle(record("short"))
    background.finish()
    assert time.perf_counter() - started < 1
    assert 29 <= background.dropped <= 31
    with os.fdopen(out) as lines:
        seen = [json.loads(lines.readline())["message"] for _ in range(52)]
    assert seen[0] == long
    assert seen[-1].endswith("lines were dropped: nobody read them.")


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
