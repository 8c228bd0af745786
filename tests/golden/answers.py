"""What foodscene answers today: asked of a served process and of the command line, as its users do.

Nothing of the packages is imported, so that these answers outlive every rename in them.
"""

import base64
import csv
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
MODELS = ("everyday", "scenes-cnn")
Answers = dict[str, Any]

_BATCH = 20
_READY_SECONDS = 60
# One thread, without the kernels that oneDNN picks by CPU, on no accelerator: sums are taken in one order everywhere.
_ALIKE = {
    "CUDA_VISIBLE_DEVICES": "",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTRAOP_THREADS": "1",
}
_RECIPE = """title = "Tiny"
domain = "made-up colours"
bundle = "tiny"
seed = 3
[input]
size = 12
scale = "unit"
[model]
kind = "convolutional"
filters = [4, 8]
[augmentation]
horizontal_flip = true
width_shift_range = 0.1
[optimizer]
name = "adam"
learning_rate = 0.03
[training]
epochs = 4
batch_size = 16
"""


def _program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "foodscene", *arguments]


def _environment(**more: str) -> dict[str, str]:
    """This environment, in which `python -m foodscene` is this checkout, whatever the folder, with no setting made."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOODSCENE_")}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), **more}


@contextmanager
def _served(folder: Path) -> Iterator[httpx.Client]:
    """`foodscene serve` on the bundles that ship; its log goes to `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "serve.log"
    with log.open("w") as lines:
        environment = _environment(FOODSCENE_SCHEDULING="parallel", FOODSCENE_DRAIN_SECONDS="0")
        command = _program("serve", "--port", str(port), "--threads", "2")
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=lines, stderr=lines)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            until = time.monotonic() + _READY_SECONDS
            while not _ready(client):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"The service did not get ready:\n{log.read_text()}")
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.wait(20)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _kept(response: httpx.Response) -> Answers:
    """An answer without what differs from one time to the next."""
    body = response.json()
    if isinstance(body, dict):
        body.pop("milliseconds", None)
    return {"status": response.status_code, "type": response.headers["content-type"], "body": body}


def of_the_service(photos: dict[str, bytes], folder: Path) -> Answers:
    """By photo, model and route: status, content type and body of the answer."""
    answers: Answers = {name: {model: {} for model in MODELS} for name in photos}
    with _served(folder) as client:
        for model in MODELS:
            for name, photo in photos.items():
                kept = answers[name][model]
                form = {"file": (name, photo)}
                kept["rest"] = _kept(client.post("/api/v1/predict", files=form, data={"model": model}))
                kept["hugging face"] = _kept(client.post(f"/models/{model}", content=photo))
                encoded = base64.b64encode(photo).decode()
                tensor = {"name": "photo", "datatype": "BYTES", "shape": [1], "data": [encoded]}
                kept["kserve"] = _kept(client.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]}))
            names = list(photos)
            for start in range(0, len(names), _BATCH):
                some = names[start : start + _BATCH]
                files = [("files", (name, photos[name])) for name in some]
                fields = {"model": model, "top_k": "1"}
                batch = client.post("/api/v1/predict/batch", files=files, data=fields).raise_for_status().json()
                for name, result in zip(some, batch["results"], strict=True):
                    result.get("answer", {}).pop("milliseconds", None)
                    answers[name][model]["batch"] = result
    return answers


def of_the_command(photos: dict[str, bytes], folder: Path) -> Answers:
    """By model: what `foodscene predict --json` prints, line by line, and its exit status."""
    for name, photo in photos.items():
        (folder / name).write_bytes(photo)
    answers: Answers = {}
    for model in MODELS:
        command = _program("predict", *photos, "--model", model, "--top-k", "3", "--json")
        done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
        lines = {line["photo"]: line for line in map(json.loads, done.stdout.splitlines())}
        if list(lines) != list(photos):
            raise RuntimeError(f"predict did not answer for each photo in its turn:\n{done.stdout}{done.stderr}")
        answers[model] = {"exit": done.returncode, "lines": lines}
    return answers


def of_a_training(folder: Path) -> Answers:
    """The figures of a training that takes a few seconds: each epoch's, and those of the test photos."""
    _draw_colours(folder / "photos")
    (folder / "tiny.toml").write_text(_RECIPE)
    command = _program("train", "tiny.toml", "--data", "photos", "--run", "run", "--threads", "1", "--quiet")
    environment = _environment(**_ALIKE, FOODSCENE_CACHE=str(folder / "cache"))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The training failed:\n{done.stdout}{done.stderr}")
    with (folder / "run/history.csv").open(newline="") as file:
        columns = ("loss", "top1", "val_loss", "val_top1", "learning_rate")
        history = [
            {"epoch": int(row["epoch"]), "phase": row["phase"]} | {column: float(row[column]) for column in columns}
            for row in csv.DictReader(file)
        ]
    evaluation = json.loads((folder / "run/evaluation.json").read_text())
    card = json.loads((folder / "run/models/tiny/card.json").read_text())
    return {
        "history": history,
        "test": {
            key: evaluation[key] for key in ("photos", "top1", "loss", "calibration_error", "per_class", "confusion")
        },
        "card": {key: card[key] for key in ("title", "domain", "input", "sure_above", "metrics")},
        "counts": card["dataset"]["counts"],
        "labels": (folder / "run/models/tiny/labels.txt").read_text().split(),
    }


def _draw_colours(folder: Path) -> None:
    """Noisy photos of three colours in three splits. One of each split lies in a wrong folder, for figures below 1."""
    rng = np.random.default_rng(0)
    colours = {"red": (170, 90, 90), "green": (90, 170, 90), "blue": (90, 90, 170)}
    for split, photos in (("train", 16), ("validation", 8), ("test", 8)):
        for label, colour in colours.items():
            (folder / split / label).mkdir(parents=True)
            for number in range(photos):
                shown = colours["green"] if label == "red" and number == 0 else colour
                pixels = np.array(shown) + rng.integers(-60, 61, (16, 16, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / label / f"{number}.png")
