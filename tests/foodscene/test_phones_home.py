"""Nothing phones home: no command looks up a host, connects to one, or leaves what waits to be sent."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Alone = Callable[[Sequence[str]], tuple[str, list[str], list[str]]]

# Python reads a module of this name when it starts, in every process that inherits the path to it.
FORBIDS = """
import os, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        asked = address[0] if isinstance(address, tuple) else "127.0.0.1"  # of a Unix socket, say
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        asked = arguments[0]
    else:
        return
    if asked not in (None, "", "127.0.0.1", "::1", "localhost", "0.0.0.0"):
        with open(os.environ["ASKED"], "a") as file:
            print(asked, file=file)
        raise OSError("There is no network in this test.")
sys.addaudithook(refuse)
"""

SERVES = """
import os, signal, sys, threading, time, urllib.request
from foodscene.app.server import run
from foodscene.app.settings import Settings
def ask():
    address = f"http://127.0.0.1:{sys.argv[2]}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/readyz")
            break
        except OSError:
            time.sleep(0.1)
    photo = open(sys.argv[1], "rb").read()
    print(urllib.request.urlopen(urllib.request.Request(f"{address}/models/everyday", photo)).status, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=ask).start()
run.run(Settings(drain_seconds=0), run.bind("127.0.0.1", int(sys.argv[2])))
"""

MIRRORS = """
import sys
from foodscene.training.runs import log, mlflow
mlflow.mirror(log.find_runs(__import__("pathlib").Path(sys.argv[1])), sys.argv[2])
"""


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    """Runs Python in a home of its own, without a network; what it printed, the hosts it asked for, files at home."""
    home, guard = tmp_path / "home", tmp_path / "guard"
    for folder in (home, guard):
        folder.mkdir()
    (guard / "sitecustomize.py").write_text(FORBIDS)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not re.search(r"TELEMETRY|TRACK|PYTEST|UPDATE|^CI$|^GITHUB|^XDG|^MPLCONFIG|^KERAS_HOME|^FOODSCENE", name)
    }
    asked = tmp_path / "asked"
    told = {
        "HOME": str(home),
        "ASKED": str(asked),
        "PYTHONPATH": f"{guard}{os.pathsep}{ROOT}",
        "FOODSCENE_CACHE": str(tmp_path / "cache"),
    }
    # What is not Python asks no audit hook: where it can be had, it has no network either.
    apart = ["unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    usable = shutil.which("unshare") and shutil.which("ip")
    usable = usable and subprocess.run([*apart, "true"], capture_output=True, check=False).returncode == 0

    def run(command: Sequence[str]) -> tuple[str, list[str], list[str]]:
        whole = [*(apart if usable else []), sys.executable, *command]
        done = subprocess.run(
            whole, env={**kept, **told}, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode in (0, -15), done.stderr
        hosts = asked.read_text().split() if asked.exists() else []
        return done.stdout, hosts, sorted(str(one.relative_to(home)) for one in home.rglob("*") if one.is_file())

    return run


def test_predict_asks_nobody_and_leaves_nothing(alone: Alone, photo: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo(1))
    # As `predict` does; then it stays for as long as ONNX Runtime takes to write what it would send.
    command = "import time; from foodscene import predict; print(predict('photo.jpg').label); time.sleep(2)"
    said, hosts, files = alone(["-c", command])
    assert said.strip()
    assert (hosts, files) == ([], [])


@pytest.mark.slow
def test_serve_asks_nobody_and_leaves_nothing(alone: Alone, photo: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo(1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said, hosts, files = alone(["-c", SERVES, "photo.jpg", str(port)])
    assert said.strip() == "200"
    assert (hosts, files) == ([], [])


@pytest.mark.nightly
def test_train_asks_nobody_and_leaves_settings_and_fonts_alone(
    alone: Alone, photo: Callable[..., bytes], tmp_path: Path
) -> None:
    for number in range(20):
        place = tmp_path / "photos" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.jpg").write_bytes(photo(number))
    small = ["training.epochs=1", "input.size=16", "model.filters=[4]"]
    settings = [part for one in small for part in ("--set", one)]
    _, hosts, files = alone(["-m", "foodscene", "train", "food/basic", "--data", "photos", "--run", "run", *settings])
    assert hosts == []
    # Keras' own settings, and matplotlib's list of this machine's fonts: neither is anything that waits to be sent.
    assert [
        one for one in files if not re.search(r"^\.keras/keras\.json$|matplotlib/fontlist-v[\d.]+\.json", one)
    ] == []


@pytest.mark.nightly
def test_the_copy_in_mlflow_asks_nobody_else(alone: Alone, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="needs MLflow: pip install 'foodscene[mlflow]'")
    from foodscene.training.runs import run

    run.create(
        tmp_path / "runs" / "one", {"status": "finished", "started": run.now(), "recipe": {"name": "food/basic"}}
    )
    _, hosts, files = alone(["-c", MIRRORS, "runs", "sqlite:///mlflow.db"])
    assert (tmp_path / "mlflow.db").exists()
    assert (hosts, files) == ([], [])
