"""A load generator: posts photos over HTTP from one process, with next to no work per request.

Run as `python -m benchmarks.load URL --clients 32 --seconds 5 PHOTO…`; prints one JSON object (`Load`).
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

_BOUNDARY = b"foodscene-benchmark"


@dataclass
class Load:
    """What a load came to: answers a second, how many of each status, and the latencies of good ones in ms."""

    per_second: float = 0
    statuses: dict[int, int] = field(default_factory=dict)
    p50: float = 0
    p95: float = 0
    p99: float = 0


class Client(asyncio.Protocol):
    """One connection, which sends its next request when it has the answer to the last."""

    def __init__(self, requests: Sequence[bytes], first: int, load: "Recorder") -> None:
        self.requests = islice(cycle(requests), first, None)
        self.load = load
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._next()

    def _next(self) -> None:
        self.head = b""
        self.left = -1
        self.sent = time.perf_counter()
        self.transport.write(next(self.requests))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self.left < 0:
            self.head += data
            head, end, body = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            lines = head.lower().split(b"\r\n")
            self.status = int(lines[0].split()[1])
            length = next((line for line in lines if line.startswith(b"content-length:")), b":0")
            self.left = int(length.split(b":")[1])
            self.closing = b"connection: close" in lines
            data = body
        self.left -= len(data)
        if self.left <= 0:
            self.load.add(self.status, time.perf_counter() - self.sent)
            if self.load.over or self.closing:
                self.transport.close()
            else:
                self._next()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.load.over and not getattr(self, "closing", False):
            self.load.statuses[0] += 1
        self.closed.set_result(None)


class Recorder:
    """Counts answers once the warm-up is over."""

    def __init__(self) -> None:
        self.counting = self.over = False
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []

    def add(self, status: int, seconds: float) -> None:
        if self.counting:
            self.statuses[status] += 1
            if status == 200:
                self.latencies.append(seconds * 1000)


async def drive(url: str, photos: Sequence[bytes], clients: int, seconds: float, warm_up: float = 1) -> Load:
    """Post photos as a form's `file` from so many connections at once, each without a pause, for some seconds."""
    target = urlsplit(url)
    requests = [form_request(target.netloc, target.path, photo) for photo in photos]
    recorder = Recorder()
    connections = []

    async def connect(first: int) -> None:
        while not recorder.over:
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: Client(requests, first, recorder), target.hostname, target.port
            )
            await client.closed

    connections = [asyncio.create_task(connect(n * len(requests) // clients)) for n in range(clients)]
    await asyncio.sleep(warm_up)
    recorder.counting, started = True, time.perf_counter()
    await asyncio.sleep(seconds)
    recorder.counting, took = False, time.perf_counter() - started
    recorder.over = True
    await asyncio.wait(connections, timeout=30)
    cuts = statistics.quantiles(recorder.latencies, n=100) if len(recorder.latencies) > 1 else [0.0] * 99
    return Load(len(recorder.latencies) / took, dict(recorder.statuses), cuts[49], cuts[94], cuts[98])


def form_request(host: str, path: str, photo: bytes, *headers: str) -> bytes:
    """The bytes of a request that posts a photo as a form's `file`."""
    body = (
        b"--" + _BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + photo + b"\r\n--" + _BOUNDARY + b"--\r\n"
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY.decode()}\r\n"
        + "".join(f"{header}\r\n" for header in headers)
        + "\r\n"
    )
    return head.encode() + body


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    photos = [photo.read_bytes() for photo in options.photos]
    load = uvloop.run(drive(options.url, photos, options.clients, options.seconds))
    json.dump(asdict(load), sys.stdout)


if __name__ == "__main__":
    main()
