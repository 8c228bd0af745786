"""Every REST route, asked by curl: a service is started on a bundle that ships, and its answers are written down.

What differs from run to run, or in its last digits from machine to machine, is replaced: times by 6.1, probabilities
by their first two digits. Long lists and deep objects are cut, which shows as `…`.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from foodscene.models.bundle import SHIPPED
from tests.browser import scenes

BUNDLE = "everyday"
HOST = "http://127.0.0.1:8000"

EXAMPLES = {
    "predict": f"curl -F file=@photo.jpg {HOST}/api/v1/predict",
    "predict with parameters": f"curl -F file=@photo.jpg -F model={BUNDLE} -F top_k=2 {HOST}/api/v1/predict",
    "predict as it is": f"curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' '{HOST}/api/v1/predict?top_k=1'",
    "predict json": (
        f'printf \'{{"file": "%s", "top_k": 1}}\' "$(base64 < photo.jpg)" | tr -d "\\n" \\\n'
        f"  | curl --json @- {HOST}/api/v1/predict"
    ),
    "batch": f"curl -F files=@photo.jpg -F files=@notes.txt -F top_k=1 {HOST}/api/v1/predict/batch",
    "explain": f"curl -F file=@photo.jpg -F label=forest {HOST}/api/v1/explain",
    "models": f"curl {HOST}/api/v1/models",
    "model": f"curl {HOST}/api/v1/models/{BUNDLE}",
    "feedback": f"curl -F file=@photo.jpg -F label=forest {HOST}/api/v1/feedback",
    "hugging face": f"curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' {HOST}/models/{BUNDLE}",
    "kserve": f"curl {HOST}/v2",
    "kserve live": f"curl {HOST}/v2/health/live",
    "kserve ready": f"curl {HOST}/v2/health/ready",
    "kserve model": f"curl {HOST}/v2/models/{BUNDLE}",
    "kserve model ready": f"curl {HOST}/v2/models/{BUNDLE}/ready",
    "kserve infer": (
        'printf \'{"inputs": [{"name": "photo", "datatype": "BYTES", "shape": [1], "data": ["%s"]}]}\' \\\n'
        f'  "$(base64 < photo.jpg | tr -d "\\n")" | curl --json @- {HOST}/v2/models/{BUNDLE}/infer'
    ),
    "alive": f"curl {HOST}/healthz",
    "ready": f"curl {HOST}/readyz",
    "metrics": f"curl {HOST}/metrics | grep ^foodscene_photos_total",
    "problem": f"curl -F file=@notes.txt {HOST}/api/v1/predict",
}
"""A shell command for each route, and one for an error."""

_WIDTH = 100
_MOST_ITEMS = 6
_DEEPEST = 3
_COMPUTED = ("probability", "score", "strongest", "grid", "data")


def answer(name: str) -> str:
    """An example as Markdown: the command, and what it printed."""
    return _answers()[name]


@cache
def _answers() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url:
        found = {}
        for name, command in EXAMPLES.items():
            done = subprocess.run(  # noqa: S602 - the commands above
                command.replace(HOST, url), shell=True, cwd=folder, capture_output=True, text=True, check=True
            )
            found[name] = f"```sh\n{command}\n```\n\n{_shown(done.stdout)}"
    return found


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A service's address; in `folder` lie what the examples send: `photo.jpg`, painted, and `notes.txt`."""
    scenes.forest().save(folder / "photo.jpg", quality=90)
    (folder / "notes.txt").write_text("This is no photo.\n")
    shutil.copytree(SHIPPED / BUNDLE, folder / "bundles" / BUNDLE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "FOODSCENE_MODELS": "bundles",
        "FOODSCENE_PORT": str(port),
        "FOODSCENE_FEEDBACK": "corrections",
        "FOODSCENE_SCHEDULING": "parallel",
        "FOODSCENE_DRAIN_SECONDS": "0",
    }
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, **settings, "PYTHONPATH": root}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "foodscene", "serve"], cwd=folder, env=environment, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, server, folder / "log")
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=5).close()  # noqa: S310 - our own
            return
        except (urllib.error.URLError, OSError):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the service did not start: {log.read_text()}") from None
            time.sleep(0.05)


def _shown(output: str) -> str:
    """An answer as a block of Markdown."""
    try:
        content = json.loads(output)
    except ValueError:
        return f"```text\n{output.strip()}\n```"
    laid_out = _layout(_steady(content, 0)).replace('"…": "…"', "…").replace('"…"', "…")
    return f"```json\n{laid_out}\n```"


def _steady(value: Any, depth: int, key: str = "") -> Any:
    """What stays the same from run to run, and is short enough to be read."""
    if isinstance(value, dict):
        if depth > _DEEPEST and len(json.dumps(value)) > _WIDTH:
            return {"…": "…"}
        return {name: _steady(item, depth + 1, name) for name, item in value.items()}
    if isinstance(value, list):
        kept = value if len(value) <= _MOST_ITEMS else [*value[:3], "…"]
        return [_steady(item, depth + 1, key) for item in kept]
    if isinstance(value, float):
        steady = float(f"{value:.2g}") if key in _COMPUTED else value
        return 6.1 if key == "milliseconds" else steady
    return re.sub(r"(?<=[0-9a-f]{8})[0-9a-f]{16,}", "…", value) if isinstance(value, str) else value


def _layout(value: Any, indent: int = 0) -> str:
    """JSON with everything on one line that fits there."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= _WIDTH or not isinstance(value, dict | list) or not value:
        return line
    room = " " * (indent + 2)
    if isinstance(value, dict):
        inner = [f"{json.dumps(name)}: {_layout(item, indent + 2)}" for name, item in value.items()]
        return "{\n" + ",\n".join(room + line for line in inner) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(room + _layout(item, indent + 2) for item in value) + "\n" + " " * indent + "]"
