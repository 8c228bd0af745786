"""Builds the wheel, installs it into a clean environment and asks it about a photo, in an empty folder: `make wheel`.

A bill of materials of that environment is written beside the wheel. Prints how large everything is and how long it
takes to start. Needs a package index.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from examples import draw
from tests.browser import scenes

ROOT = Path(__file__).parents[1]
OTHERS = ("app", "models", "training", "static")
"""What other packages, and the modules beside a script, may be called."""
# In whichever order they are imported, theirs is theirs and ours is ours.
_BESIDE_OTHERS = """
import importlib, sys
from pathlib import Path

order, photo = sys.argv[1], Path(sys.argv[2])
theirs = lambda: [importlib.import_module(name).WHOSE for name in ("app", "models", "training")]
if order == "before":
    print(theirs())
import foodscene
from foodscene.models.bundle import SHIPPED
print(foodscene.load("scenes-cnn").predict(photo).label)
if order == "after":
    print(theirs())
assert "site-packages" in str(SHIPPED), SHIPPED
"""
_TRAINED_BESIDE_OTHERS = """
import importlib, sys

theirs = [importlib.import_module(name) for name in ("app", "models", "training")]
from foodscene import train

outcome = train("photos/many", sys.argv[1], settings=["input.size=16", "training.epochs=1"], run="run")
assert outcome.bundle.labels == ("pizza", "soup"), outcome.bundle.labels
assert [one.WHOSE for one in theirs] == ["somebody's"] * 3
"""
MOST_MEGABYTES = 40
"""What the wheel may have, bundles included."""
MOST_INSTALLED = 350
"""Megabytes that an environment which serves may have, pip included."""
# FastAPI refuses such a route where the package `multipart` is installed in place of python-multipart.
_APP_WITH_A_FORM = """
import sys
from typing import Annotated
import uvicorn
from fastapi import Form
from foodscene.app.main import create_app

app = create_app()

@app.post("/name")
def name(name: Annotated[str, Form()]) -> str:
    return name

uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


def build() -> Path:
    """The wheel of this checkout, in `dist/`."""
    _run([sys.executable, "-m", "build", "--wheel", "--outdir", str(ROOT / "dist"), str(ROOT)])
    return max((ROOT / "dist").glob("foodscene-*.whl"), key=lambda path: path.stat().st_mtime)


def install(wheel: Path, folder: Path) -> Path:
    """A new environment with the wheel and what it needs; gives the folder of its programs."""
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    pip = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    _run([*pip, "--require-hashes", "--requirement", str(ROOT / "requirements-serve.lock")])
    _run([*pip, "--no-deps", str(wheel)])
    return programs


def list_contents(wheel: Path, programs: Path) -> Path:
    """The wheel's bill of materials beside it: what is installed with it, as CycloneDX has it."""
    listed = wheel.with_suffix(".cdx.json")
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml")]
    _run([*command, "--output-reproducible", "--output-file", str(listed), str(programs / "python")])
    found = {one["name"].lower() for one in json.loads(listed.read_text())["components"]}
    assert {"fastapi", "onnxruntime", "pillow"} <= found, f"{listed} lacks what is installed"
    return listed


def megabytes(folder: Path) -> float:
    """What the files in a folder have; not those that links in it lead to, such as the system's Python."""
    found = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return sum(file.stat().st_size for file in found) / 1e6


@contextmanager
def served(
    programs: Path, folder: Path, *options: str, command: tuple[str, ...] = ("foodscene", "serve", "--port")
) -> Iterator[tuple[str, float]]:
    """The address of what `command` and a port start in `folder`, and the seconds until it was ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    started = time.perf_counter()
    program, *given = command
    server = subprocess.Popen(
        [str(programs / program), *given, str(port), *options], cwd=folder, env=_clean(), stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                _get(f"{url}/readyz")
                break
            except OSError:
                assert server.poll() is None, f"{program} ended"
                assert time.perf_counter() < started + 60, f"{program} is not ready after a minute"
                time.sleep(0.02)
        yield url, time.perf_counter() - started
    finally:
        server.terminate()
        server.wait(30)


def beside_others(wheel: Path, programs: Path, root: Path) -> None:
    """Packages of our folders' names are installed, and a script's folder has modules of these names: all work."""
    [site] = (root / "venv").glob("lib/python3*/site-packages")
    folder, photo = root / "theirs", root / "photo.jpg"
    for place in (site, folder):
        for name in OTHERS:
            (place / name).mkdir(parents=True)
            (place / name / "__init__.py").write_text('WHOSE = "somebody\'s"\n')
    (folder / "models" / "__init__.py").unlink()
    (folder / "models").rmdir()
    (folder / "models.py").write_text('WHOSE = "somebody\'s"\n')
    scenes.forest().save(photo, "JPEG")
    script = folder / "script.py"
    script.write_text(_BESIDE_OTHERS)
    for order in ("before", "after"):
        said = _run([str(programs / "python"), str(script), order, str(photo)], folder)
        assert "forest" in said, said
        assert said.count("somebody's") == 3, said
    assert "forest" in _run([str(programs / "foodscene"), "predict", "--model", "scenes-cnn", str(photo)], folder)
    with served(programs, folder, "--workers", "2") as (url, _):
        assert _ask(url, "scenes-cnn")[0]["label"] == "forest"
    # Training needs TensorFlow, which this environment has: the wheel comes before the checkout there.
    ours = root / "ours" / "site-packages"
    _run([sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--target", str(ours), str(wheel)])
    for number in range(10):
        for label in ("pizza", "soup"):
            (root / "photos" / label).mkdir(parents=True, exist_ok=True)
            draw.draw(label, number).save(root / "photos" / label / f"{number}.jpg")
    script.write_text(_TRAINED_BESIDE_OTHERS)
    environment = {"PYTHONPATH": str(ours), "FOODSCENE_CACHE": str(root / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    _run([sys.executable, str(script), str(root / "photos")], folder, environment)


def main() -> None:
    """Build, install, ask, and print the figures. Fails with what is wrong."""
    wheel = build()
    size = wheel.stat().st_size / 1e6
    assert size < MOST_MEGABYTES, f"{wheel} has {size:.1f} MB"
    with tempfile.TemporaryDirectory() as temporary:
        programs = install(wheel, Path(temporary) / "venv")
        listed = list_contents(wheel, programs)
        empty = Path(temporary) / "empty"
        empty.mkdir()
        installed = megabytes(Path(temporary) / "venv")
        assert installed < MOST_INSTALLED, f"installed, it has {installed:.0f} MB"
        tensorflow = [str(programs / "python"), "-c", "import tensorflow"]
        assert subprocess.run(tensorflow, capture_output=True, check=False, env=_clean()).returncode, (
            "TensorFlow is there"
        )
        with served(programs, empty, command=("python", "-c", _APP_WITH_A_FORM)) as (url, _):
            assert _post(f"{url}/name", b"name=Ada") == b'"Ada"', "a form is not read"
            assert _ask(url), "the app with a form of its own does not answer"
        imports = _seconds([str(programs / "python"), "-c", "import foodscene.app.main"], empty)
        helps = _seconds([str(programs / "foodscene"), "--help"], empty)
        with served(programs, empty) as (url, ready):
            assert _ask(url), "the default model does not answer"
            labels = _ask(url, "scenes-cnn")
            assert labels[0]["label"] == "forest", labels
            assert "<title>" in _get(url), "the page is missing"
            assert _get(f"{url}/static/css/base.css"), "the page's style is missing"
            assert json.loads(_get(f"{url}/api/v1/models"))["refused"] == []
        assert not list(empty.iterdir()), "serving left files behind"
        beside_others(wheel, programs, Path(temporary))
    print(f"wheel {size:.1f} MB, installed with all it needs {installed:.0f} MB, listed in {listed.relative_to(ROOT)}")
    print(f"foodscene --help {helps:.2f} s, import foodscene.app.main {imports:.2f} s, serve to ready {ready:.2f} s")


def _ask(url: str, model: str = "") -> list[dict[str, object]]:
    """What a model, or else the default one, sees on a painted forest."""
    with tempfile.TemporaryFile() as file:
        scenes.forest().save(file, "JPEG")
        file.seek(0)
        photo = file.read()
    boundary = uuid4().hex
    field = f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n' if model else ""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n\r\n'
    body = f"{field}{head}".encode() + photo + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(
        f"{url}/api/v1/predict", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        found: list[dict[str, object]] = json.load(response)["predictions"]
    return found


def _post(url: str, form: bytes) -> bytes:
    with urllib.request.urlopen(url, form, timeout=10) as response:
        text: bytes = response.read()
    return text


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        text: str = response.read().decode()
    return text


def _seconds(command: list[str], folder: Path) -> float:
    """The best of three runs, the first of which has to read everything from disk."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, env=_clean(), check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return min(times)


def _clean() -> dict[str, str]:
    """The environment without what would lead Python to this checkout, or set the service."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FOODSCENE", "VIRTUAL"))
    }


def _run(command: list[str], folder: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """What a command says. Ends the program where it fails."""
    variables = {**_clean(), **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables, cwd=folder)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
