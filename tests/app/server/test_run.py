import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from foodscene.models.folders import replacing

pytestmark = pytest.mark.slow

Serve = Callable[..., Any]


def load(url: str, photo: bytes, until: Callable[[], bool], clients: int = 8) -> Counter[object]:
    """Post photos from several clients until told to stop; count the labels, and whatever else came back."""
    outcomes: Counter[object] = Counter()
    lock = threading.Lock()

    def work() -> None:
        with httpx.Client(timeout=20) as client:
            while not until():
                answer = client.post(f"{url}/api/v1/predict", files={"file": photo})
                body = answer.json()
                outcome = body["predictions"][0]["label"] if answer.status_code == 200 else answer.status_code
                with lock:
                    outcomes[outcome] += 1

    with ThreadPoolExecutor(clients) as pool:
        for worker in [pool.submit(work) for _ in range(clients)]:
            worker.result()
    return outcomes


def test_curl_gets_an_answer(serve: Serve, red: bytes, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl")
    (tmp_path / "photo.png").write_bytes(red)
    command = [curl, "-s", "-F", f"file=@{tmp_path / 'photo.png'}", f"{serve().url}/api/v1/predict"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert answer["predictions"][0]["label"] == "red"


@pytest.mark.nightly
def test_a_bundle_is_replaced_ten_times_under_load_without_a_failed_request(
    serve: Serve, toy_bundle: Path, tmp_path: Path, red: bytes
) -> None:
    shutil.copytree(toy_bundle / "colours", tmp_path / "colours")
    server = serve("--models", str(tmp_path), FOODSCENE_RELOAD_SECONDS="0.05")
    seen: list[str] = []
    done = threading.Event()

    def replace() -> None:
        for turn in range(10):
            with replacing(tmp_path / "colours", [path.name for path in (toy_bundle / "colours").iterdir()]) as new:
                shutil.copytree(toy_bundle / "colours", new, dirs_exist_ok=True)
                (new / "labels.txt").write_text(f"red-{turn}\ngreen-{turn}\nblue-{turn}\n")
            until = time.monotonic() + 20
            while f"red-{turn}" not in httpx.get(f"{server.url}/api/v1/models").text:
                assert time.monotonic() < until
                time.sleep(0.02)
            seen.append(f"red-{turn}")
        done.set()

    replacer = threading.Thread(target=replace)
    replacer.start()
    outcomes = load(server.url, red, lambda: done.is_set() or not replacer.is_alive(), clients=4)
    replacer.join()
    assert seen == [f"red-{turn}" for turn in range(10)]
    assert set(outcomes) <= {"red", *seen}
    assert len(outcomes) > 5


def raw_request(photo: bytes) -> bytes:
    return f"POST /models/colours HTTP/1.1\r\nHost: x\r\nContent-Length: {len(photo)}\r\n\r\n".encode() + photo


def connect(url: str) -> socket.socket:
    target = urlsplit(url)
    return socket.create_connection((target.hostname, target.port), timeout=20)


@pytest.mark.slow
def test_sigterm_turns_readiness_red_first_and_loses_no_accepted_request(serve: Serve, red: bytes) -> None:
    server = serve(FOODSCENE_DRAIN_SECONDS="1", FOODSCENE_THREADS="1")
    with ExitStack() as stack:
        watcher = stack.enter_context(httpx.Client())
        connections = [stack.enter_context(connect(server.url)) for _ in range(30)]
        for connection in connections:
            connection.sendall(raw_request(red))
        server.process.terminate()
        while (ready := watcher.get(f"{server.url}/readyz")).status_code == 200:
            time.sleep(0.01)
        assert "stopping" in ready.json()["detail"]
        assert ready.headers["connection"] == "close"
        late = stack.enter_context(connect(server.url))
        late.sendall(raw_request(red))
        for connection in [*connections, late]:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert server.process.wait(10) == -signal.SIGTERM
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")


@pytest.mark.slow
def test_clients_that_go_away_free_their_places(serve: Serve, red: bytes) -> None:
    server = serve(FOODSCENE_QUEUE="4", FOODSCENE_THREADS="1")
    whole = raw_request(red)
    for cut in (20, len(whole) - len(red), len(whole) - 1, len(whole)):
        for _ in range(20):
            with connect(server.url) as connection:
                connection.sendall(whole[:cut])
    until = time.monotonic() + 10
    while "foodscene_queue_photos 0.0" not in httpx.get(f"{server.url}/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert httpx.post(f"{server.url}/models/colours", content=red).status_code == 200


@pytest.mark.slow
def test_two_workers_answer_and_count_together(serve: Serve, red: bytes) -> None:
    server = serve("--workers", "2", FOODSCENE_THREADS="1")
    ready, until = 0, time.monotonic() + 30
    while ready < 20:  # each worker says so for itself, and any of them may be asked
        assert time.monotonic() < until
        ready = ready + 1 if httpx.get(f"{server.url}/readyz").status_code == 200 else 0
    for _ in range(20):
        assert httpx.post(f"{server.url}/models/colours", content=red).status_code == 200
    assert 'foodscene_photos_total{model="colours"} 20.0' in httpx.get(f"{server.url}/metrics").text
    assert server.stop() == 0


def figure(text: str, name: str) -> float:
    return float(text.partition(f"\n{name} ")[2].partition("\n")[0])


def test_figures_of_a_dead_worker_go_and_processes_are_counted_together(serve: Serve, tmp_path: Path) -> None:
    server = serve("--workers", "2", FOODSCENE_THREADS="1", TMPDIR=str(tmp_path))
    until = time.monotonic() + 30
    while len(workers := {path.stem: path for path in tmp_path.glob("foodscene-metrics-*/gauge_livesum_*.db")}) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    text = httpx.get(f"{server.url}/metrics").text
    alone = {name: workers[name].stem.rpartition("_")[2] for name in workers}
    pages = [int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in alone.values()]
    memory = figure(text, "process_resident_memory_bytes")
    assert memory == pytest.approx(sum(pages) * os.sysconf("SC_PAGE_SIZE"), rel=0.3)
    assert figure(text, "process_cpu_seconds_total") > 0
    assert abs(figure(text, "process_start_time_seconds") - time.time()) < 120
    killed, process = next(iter(alone.items()))
    os.kill(int(process), signal.SIGKILL)
    until = time.monotonic() + 30
    while workers[killed].exists():
        assert time.monotonic() < until, "its gauges stay"
        time.sleep(0.05)
    assert server.stop() == 0


def test_a_free_port_is_printed_and_a_taken_one_is_said_before_any_address(toy_bundle: Path) -> None:
    command = [sys.executable, "-m", "foodscene", "serve", "--models", str(toy_bundle), "--port"]
    with subprocess.Popen([*command, "0"], stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr
        said = first.stderr.readline()
        port = int(said.rpartition(":")[2])
        assert port > 0
        second = subprocess.run([*command, str(port)], capture_output=True, text=True, check=False, timeout=60)
        first.terminate()
    assert second.returncode == 1
    assert "Another program listens at 127.0.0.1" in second.stderr
    assert "http://" not in second.stderr


@pytest.mark.slow
def test_an_endless_head_is_cut_off(serve: Serve) -> None:
    server = serve()
    with connect(server.url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nx: ")
        with pytest.raises(ConnectionError):
            connection.sendall(b"y" * 50_000_000)
    assert httpx.get(f"{server.url}/healthz").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
def test_addresses_of_ipv6_are_served_and_shown_in_brackets(serve: Serve, host: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("needs IPv6")
    server = serve("--host", host)
    url = f"http://[{host.strip('[]')}]:{urlsplit(server.url).port}"
    assert httpx.get(f"{url.replace('[::]', '[::1]')}/readyz").status_code == 200
    assert url in next(tmp_path.glob("*.log")).read_text()


@pytest.mark.slow
def test_the_health_check_of_the_image_follows_the_port(serve: Serve) -> None:
    text = (Path(__file__).parents[3] / "Dockerfile").read_text()
    check = json.loads(text.partition("HEALTHCHECK")[2].partition("CMD")[2].splitlines()[0])
    command = [sys.executable, *check[1:]]
    port = str(urlsplit(serve().url).port)
    environment = {**os.environ, "http_proxy": "http://127.0.0.1:9"}
    assert subprocess.run(command, check=False, env={**environment, "FOODSCENE_PORT": port}).returncode == 0
    failed = subprocess.run(command, check=False, env={**environment, "FOODSCENE_PORT": "9"}, capture_output=True)
    assert failed.returncode == 1


def test_forwarded_addresses_of_strangers_are_not_believed(serve: Serve) -> None:
    server = serve(FOODSCENE_RATE_LIMIT="0.001", FOODSCENE_RATE_BURST="3", FORWARDED_ALLOW_IPS="*")
    statuses = [
        httpx.get(f"{server.url}/api/v1/models", headers={"x-forwarded-for": f"10.0.0.{number}"}).status_code
        for number in range(5)
    ]
    assert statuses == [200, 200, 200, 429, 429]
    believed = serve(FOODSCENE_RATE_LIMIT="0.001", FOODSCENE_RATE_BURST="3", FOODSCENE_TRUSTED_PROXIES="127.0.0.1")
    headers = {"x-forwarded-for": "10.0.0.1, 10.0.0.2"}  # the first one is the client's own word
    assert httpx.get(f"{believed.url}/api/v1/models", headers=headers).status_code == 200
    statuses = [
        httpx.get(
            f"{believed.url}/api/v1/models", headers={"x-forwarded-for": f"10.0.1.{number}, 10.0.0.2"}
        ).status_code
        for number in range(4)
    ]
    assert statuses == [200, 200, 429, 429]
