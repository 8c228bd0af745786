"""`kill -9` at random moments: what people own is there afterwards, byte for byte, and the next call works.

    python -m benchmarks.kills      # twenty times each of train, evaluate, compile, calibrate, data cache and serve
    python -m benchmarks.kills --times 100 --only train

Each command writes beside and into folders in which somebody keeps other things. Exits with 1 where one of these
changed, a file of ours is not whole, or something half made is left after the next call.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
# Commands are forked from a process that has imported all they need: that takes longer than their work here.
_FORKING = """
import json, os, sys
import keras, tensorboard.summary
from foodscene.cli import cli
from foodscene.training import export, train
from foodscene.training.data import load
from foodscene.training.evaluation import evaluation
from foodscene.training.loop import loop, scratch
from foodscene.training.reports import report
for line in sys.stdin:
    if not (child := os.fork()):
        sys.argv[1:] = json.loads(line)
        os.dup2(2, 1)
        cli()
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
_RECIPE = """extends = "food/basic"
title = "Own"
bundle = "own"
[input]
size = 16
[model]
filters = [4]
[training]
epochs = 5
batch_size = 4
"""
_LONGEST = 120.0


class Commands:
    """Runs `foodscene` commands, one after another."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self._say, self._hear = process.stdin, process.stdout

    def start(self, *arguments: object) -> int:
        """Begin a command; the number of its process."""
        print(json.dumps(list(map(str, arguments))), file=self._say, flush=True)
        return int(self._hear.readline())

    def kill(self, process: int) -> int:
        """End it; the exit code, which is its own where it ended before."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        return self.wait()

    def wait(self) -> int:
        """The exit code of a command that comes to its end."""
        return int(self._hear.readline())


@contextmanager
def commands(log: Path) -> Iterator[Commands]:
    """A process that commands are forked from; what they say goes to `log`."""
    with log.open("a") as said:
        command = [sys.executable, "-W", "ignore", "-c", _FORKING]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        with process:
            yield Commands(process)


class Place(NamedTuple):
    """A folder in which somebody works: photos, a recipe, a bundle, and a file of their own in every folder."""

    root: Path

    @property
    def photos(self) -> Path:
        return self.root / "photos"

    @property
    def bundle(self) -> Path:
        return self.root / "bundle"

    def theirs(self) -> dict[str, str]:
        """The files that nobody but their owner may change, each with its sha256."""
        paths = [*self.photos.rglob("*"), *self.root.rglob("mine*"), self.root / "own.toml"]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}

    def half_made(self) -> list[Path]:
        """What should be in no folder once a command has come to its end."""
        return [path for end in ("*.unfinished*", "*.part", "*.tmp", ".lock") for path in self.root.rglob(end)]


def prepare(root: Path, run: Commands) -> Place:
    """Lay the place out."""
    place = Place(root)
    for seed, label in enumerate("ab"):
        (place.photos / label).mkdir(parents=True)
        for number in range(50):  # of which a fifth validates: calibrate asks for 20
            (place.photos / label / f"{number}.jpg").write_bytes(_photo(50 * seed + number))
    (root / "own.toml").write_text(_RECIPE)
    os.environ["FOODSCENE_CACHE"] = str(root / "cache")
    process = run.start(
        "train", root / "own.toml", "--data", place.photos, "--run", root / "first", "--bundle", place.bundle
    )
    assert process
    if code := run.wait():
        raise SystemExit(f"The first training ended with {code}.")
    for folder in ("bundle", "bundle/mine", "report", "report/pictures", "report/pictures/mine", "cache", "feedback/a"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "mine.txt").write_text("Somebody's own.")
    return place


def train(place: Place, turn: int) -> list[object]:
    """Into a bundle that exists; a run that was begun goes on."""
    from foodscene.training.runs.run import read_run

    folder = place.root / "run"
    if (folder / "run.json").exists():
        if not read_run(folder).finished:
            return ["train", "--resume", "--run", folder]
        folder.rename(place.root / f"run-{turn}-{random.getrandbits(32)}")
    return ["train", place.root / "own.toml", "--data", place.photos, "--run", folder, "--bundle", place.bundle]


def data_cache(place: Place, turn: int) -> list[object]:
    """Filled and cleared by turns."""
    if turn % 2:
        return ["data", "cache", "clear"]
    return ["data", "augment", place.root / "own.toml", "--data", place.photos, "-o", place.root / "augmented.png"]


CALLS: dict[str, Callable[[Place, int], list[object]]] = {
    "train": train,
    "evaluate": lambda place, _: [
        "evaluate", place.bundle, "--data", place.photos, "--out", place.root / "report", "--save"
    ],
    "compile": lambda place, _: ["compile", place.bundle],
    "calibrate": lambda place, _: ["calibrate", place.bundle, "--data", place.photos],
    "data cache": data_cache,
}  # fmt: skip


def kill_command(name: str, times: int, place: Place, run: Commands, rng: random.Random) -> Iterator[str]:
    """Kill a command at random moments, then let it come to its end. Yields what is wrong."""
    began = time.monotonic()
    run.start(*CALLS[name](place, 0))
    if code := run.wait():
        yield f"{name}: ended with {code} before it was killed at all"
        return
    takes, theirs, killed = time.monotonic() - began, place.theirs(), 0
    for turn in range(times):
        process = run.start(*CALLS[name](place, turn))
        time.sleep(rng.uniform(0, takes))
        if (code := run.kill(process)) not in (0, -signal.SIGKILL):
            yield f"{name}: ended with {code} after the kill before"
        killed += code != 0
        yield from _wrong(name, place, theirs)
    print(f"{name}: takes {takes:.1f} s, was killed before its end {killed} of {times} times", flush=True)
    for turn in (0, 1):
        run.start(*CALLS[name](place, turn))
        if code := run.wait():
            yield f"{name}: the next call ended with {code}"
    yield from _wrong(name, place, theirs)
    yield from (f"{name}: {left} is left" for left in place.half_made())


def kill_serve(times: int, place: Place, log: Path, rng: random.Random) -> Iterator[str]:
    """Kill the service while it takes corrections. Yields what is wrong."""
    theirs, kept, photos_kept = place.theirs(), place.root / "feedback", 0
    photos = [_photo(1000 + number) for number in range(200)]
    for turn in range(times + 1):
        with _service(place, log) as (process, url):
            until = time.monotonic() + (1.0 if turn == times else rng.uniform(0, 1.0))
            answered = 0
            while time.monotonic() < until:
                answered += _correct(url, rng.choice(photos))
            photos_kept += answered
            if turn == times and not answered:
                yield "serve: answers nothing after the kills"
            os.kill(process.pid, signal.SIGKILL)
        yield from _wrong("serve", place, theirs)
        for path in kept.rglob("*.jpg"):
            try:
                Image.open(path).load()
            except OSError:
                yield f"serve: {path} is half a photo"
    print(f"serve: was killed {times} times, kept {photos_kept} corrections", flush=True)
    yield from (f"serve: {left} is left" for left in place.half_made())


def _wrong(name: str, place: Place, theirs: dict[str, str]) -> Iterator[str]:
    """What is not as it was, or not whole."""
    from foodscene.models.bundle import BundleError, read_bundle
    from foodscene.models.engine import open_engine
    from foodscene.training.runs import run

    now = place.theirs()
    yield from (
        f"{name}: {path} is {'changed' if path in now else 'gone'}" for path in theirs if theirs[path] != now.get(path)
    )
    try:
        found = read_bundle(place.bundle)
        open_engine(found).predict(np.zeros((1, *found.spec.shape), np.uint8))
    except (BundleError, OSError) as error:
        yield f"{name}: the bundle is not whole: {error}"
    if (place.root / "run" / "run.json").exists():
        run.read_run(place.root / "run").load_checkpoint()
    for path in (place.root / "report").glob("*.json"):
        json.loads(path.read_bytes())


@contextmanager
def _service(place: Place, log: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """The service on the place's bundle, keeping corrections."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (place.root / "served").mkdir(exist_ok=True)
    if not (place.root / "served" / "bundle").exists():
        (place.root / "served" / "bundle").symlink_to(place.bundle)
    settings = {"FOODSCENE_FEEDBACK": str(place.root / "feedback"), "FOODSCENE_PORT": str(port)}
    command = [sys.executable, "-m", "foodscene", "serve", "--models", str(place.root / "served")]
    with (
        log.open("ab") as said,
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stdout=said, stderr=said) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + _LONGEST
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=5):
                break
            time.sleep(0.05)
        yield process, url


def _correct(url: str, photo: bytes) -> bool:
    """Send the right label for a photo; whether it was kept."""
    import httpx

    try:
        answer = httpx.post(f"{url}/api/v1/feedback", files={"file": photo}, data={"label": "a"}, timeout=10)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200


def _photo(seed: int) -> bytes:
    blobs = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    encoded = BytesIO()
    Image.fromarray(blobs).resize((72, 64), Image.Resampling.BICUBIC).save(encoded, "JPEG")
    return encoded.getvalue()


def kills(root: Path, times: int, only: str | None = None, seed: int = 0) -> Iterator[str]:
    """Kill each command `times` times in the empty folder `root`. Yields what is wrong."""
    rng, log = random.Random(seed), root / "log"
    os.environ["FOODSCENE_CACHE"] = str(root / "place" / "cache")
    with commands(log) as run:
        place = prepare(root / "place", run)
        for name in CALLS:
            if only in (None, name):
                yield from kill_command(name, times, place, run, rng)
    if only in (None, "serve"):
        yield from kill_serve(times, place, log, rng)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", choices=[*CALLS, "serve"])
    parser.add_argument("--seed", type=int, default=0, help="another number kills at other moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        wrong = list(kills(Path(root), options.times, options.only, options.seed))
        if wrong:
            print((Path(root) / "log").read_text()[-4000:])
    print("\n".join(wrong) or f"Killed {options.times} times each: nothing is lost, and the next call works.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
