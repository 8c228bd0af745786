"""Services to test: inside this process, and as a process of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from starlette.testclient import TestClient

from foodscene.app.main import create_app
from foodscene.app.settings import Settings

ROOT = Path(__file__).parents[2]


def picture(color: str = "red", size: tuple[int, int] = (40, 30), form: str = "PNG") -> bytes:
    """A photo of one colour, which the toy bundle knows by name."""
    target = BytesIO()
    Image.new("RGB", size, {"green": "lime"}.get(color, color)).save(target, form)
    return target.getvalue()


@pytest.fixture(scope="session")
def red() -> bytes:
    return picture("red")


def when_ready(client: TestClient) -> TestClient:
    until = time.monotonic() + 20
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < until, client.get("/readyz").text
        time.sleep(0.02)
    return client


def when_looked(client: TestClient) -> TestClient:
    """For a service whose bundles are all refused, so that it never gets ready."""
    until = time.monotonic() + 20
    while not client.app.state.service.registry.complete:  # type: ignore[attr-defined]
        assert time.monotonic() < until
        time.sleep(0.02)
    return client


@pytest.fixture
def start(toy_bundle: Path) -> Iterator[Callable[..., TestClient]]:
    """Starts a service inside this process with settings: `start(queue=2)`."""
    with ExitStack() as stack:

        def start_one(*, wait: bool = True, **settings: Any) -> TestClient:
            given = {"models": toy_bundle, "threads": 2, "scheduling": "parallel", "reload_seconds": 0, **settings}
            app = create_app(Settings(**given))
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            return when_ready(client) if wait else when_looked(client)

        yield start_one


@pytest.fixture(scope="session")
def client(toy_bundle: Path) -> Iterator[TestClient]:
    """A service inside this process with the usual settings."""
    settings = Settings(models=toy_bundle, threads=2, scheduling="parallel", reload_seconds=0)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield when_ready(client)


@dataclass
class Server:
    """`foodscene serve` in a process of its own."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self, seconds: float = 20) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


def _reached(url: str, options: Sequence[str]) -> str:
    return url.replace("127.0.0.1", "[::1]") if "::1" in "".join(options) else url


@pytest.fixture
def serve(toy_bundle: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts `foodscene serve` as a person would: `serve("--workers", "2", FOODSCENE_QUEUE="3")`."""
    servers: list[Server] = []

    def start_one(*options: str, stderr: int | None = None, **environment: str) -> Server:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-c", "import typer; from foodscene.app.commands import serve; typer.run(serve)"]
        command += ["--port", str(port), "--models", str(toy_bundle), *options]
        settings = {"FOODSCENE_SCHEDULING": "parallel", "FOODSCENE_THREADS": "2", "FOODSCENE_DRAIN_SECONDS": "0.3"}
        log = tmp_path / f"{port}.log"
        with log.open("w") as lines:
            environment = {**os.environ, **settings, **environment}
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=stderr or lines)
        servers.append(Server(f"http://127.0.0.1:{port}", process))
        until = time.monotonic() + 30
        while True:
            try:
                if httpx.get(f"{_reached(servers[-1].url, options)}/readyz").status_code == 200:
                    return servers[-1]
            except httpx.TransportError:
                pass
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until
            time.sleep(0.05)

    yield start_one
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()
