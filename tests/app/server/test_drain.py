"""SIGTERM ends the process in time, whatever it is doing."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import ROOT, picture

pytestmark = pytest.mark.slow

_STUCK = """
import time, typer
from foodscene.app.inference import decoder, registry
from foodscene.app.server import drain, run
from foodscene.models import engine

run.ANSWERS_SECONDS, drain._END_SECONDS = 1, 2

def stuck(*_, **__):
    time.sleep(1000)

def stuck_at_white(self, prepared, run=engine.OnnxEngine.run):
    return stuck() if prepared.max() == 255 else run(self, prepared)

{target}
from foodscene.app.commands import serve
typer.run(serve)
"""


def until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 30
    while True:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        pytest.param("engine.OnnxEngine.run = stuck_at_white", "/models/colours", id="in an engine"),
        pytest.param("decoder.Decoder.read = stuck", "/models/colours", id="in a decoder"),
        pytest.param("decoder.Decoder.shrink = stuck", "/preview", id="in a preview"),
        pytest.param("registry.Registry._open = stuck", "", id="in a bundle that is loaded"),
    ],
)
def test_the_process_ends_in_time_though_a_thread_is_stuck(target: str, path: str, toy_bundle: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", _STUCK.format(target=target), "--port", str(port), "--models", str(toy_bundle)]
    settings = {"FOODSCENE_SCHEDULING": "parallel", "FOODSCENE_THREADS": "1", "FOODSCENE_DRAIN_SECONDS": "0.2"}
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stderr=subprocess.DEVNULL)
    try:
        until_it_answers(f"http://127.0.0.1:{port}/{'readyz' if path else 'healthz'}", process)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            if path:
                connection.sendall(request(path, picture("white")))
                time.sleep(0.3)
            started = time.monotonic()
            process.terminate()
            assert process.wait(20) in (0, -signal.SIGTERM, -signal.SIGALRM)
            assert time.monotonic() - started < 5
            if path:
                assert connection.recv(1000).startswith(b"HTTP/1.1 503")
    finally:
        process.kill()
        process.wait()


def request(path: str, photo: bytes) -> bytes:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + photo + b"\r\n--b--\r\n"
    if path != "/preview":
        body = photo
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
