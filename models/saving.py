"""Writing bundles: where one may be written to, what its labels may be called, and the writing itself."""

import hashlib
import importlib.metadata
import json
import logging
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foodscene.models.bundle import (
    CARD,
    CONFUSION,
    FAMILIAR,
    LABELS,
    MODEL,
    MODELS,
    MOST_LABELS,
    ONNX,
    README,
    SETTINGS,
    Bundle,
    BundleError,
    check_name,
    model_file,
    read_bundle,
    read_card,
    read_part,
)
from foodscene.models.card import Card
from foodscene.models.engine import KerasEngine, OnnxEngine
from foodscene.models.exported.settings import COMPILED_FROM
from foodscene.models.files import OccupiedError, check_writable, hash_file
from foodscene.models.files import write as write_file
from foodscene.models.folders import replacing
from foodscene.models.graph.graph import Graph, ModelRefused
from foodscene.models.graph.reader import read as read_graph
from foodscene.models.graph.writer import write as write_graph
from foodscene.models.half_precision import halve_h5
from foodscene.models.labels import parse

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4
"""The largest difference of a probability between the trained network and ONNX Runtime."""

_OWN = (*MODELS, LABELS, CARD, ONNX, CONFUSION, FAMILIAR, README)


@dataclass(frozen=True)
class Trained:
    """A network that was trained without Keras."""

    graph: Graph
    """What a file of it says."""
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    """Its own probabilities, shape (n, classes), for photos of shape (n, height, width, channels), values 0-255."""


def check_target(folder: Path) -> None:
    """Make sure that a bundle may be written to `folder`: there is nothing yet, nothing in it, or a bundle of ours.

    Raises `BundleError` for a name that no bundle can have, `OccupiedError` for a folder that holds something else, and
    `PermissionError`.
    """
    folder = Path(os.path.realpath(folder))
    check_name(folder.name)
    check_writable(folder.parent)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OccupiedError(f"{folder} is a file: a bundle is a folder. Name another one.")
    if os.path.ismount(folder):
        raise OccupiedError(f"{folder} is a mount point, which cannot be replaced. Name a folder in it.")
    if Path.cwd().is_relative_to(folder):
        raise OccupiedError(f"{folder} is the folder that you are in. Name it from outside, or name another one.")
    ours = is_ours(folder)
    onnx = folder / ONNX
    if onnx.exists() and not (ours and model_file(folder) == ONNX) and COMPILED_FROM.encode() not in onnx.read_bytes():
        raise OccupiedError(f"{onnx} was not compiled by foodscene: it is not replaced. Move it away first.")
    if any(folder.iterdir()) and not ours:
        raise OccupiedError(
            f"{folder} holds {_some(folder)}, and no bundle that foodscene wrote: it is not replaced. "
            "Name a new folder, or one in it."
        )


def is_ours(folder: Path) -> bool:
    """Whether a folder is a bundle as we wrote it: its card names the sha256 of its model."""
    try:
        card = read_card(folder)
        file = model_file(folder)
        return None not in (file, card.sha256) and card.sha256 == hash_file(folder / str(file))
    except (BundleError, OSError):
        return False


def check_labels(labels: Sequence[str]) -> None:
    """Make sure that `labels.txt` can hold these labels, and gives them back. Raises `BundleError`."""
    kept: dict[str, str] = {}
    for label in labels:
        shown = repr(os.fsencode(label).decode(errors="backslashreplace")).replace("\\\\x", "\\x")
        try:
            parsed = parse(label.encode())
        except UnicodeEncodeError:
            raise BundleError(f"The class {shown} has a name that is not UTF-8. Rename it.") from None
        if len(parsed) != 1:
            said = "has a line end in its name" if parsed else "has an empty name"
            raise BundleError(f"The class {shown} {said}, and a label is a line of labels.txt. Rename it.")
        if parsed[0] in kept:
            raise BundleError(
                f"The classes {kept[parsed[0]]} and {shown} have one name, as blanks around a name do not count. "
                "Rename one, or put their photos together."
            )
        kept[parsed[0]] = shown
    if len(kept) > MOST_LABELS:
        raise BundleError(f"There are {len(kept):,} classes; a bundle holds up to {MOST_LABELS:,} labels.")


def name_for(recipe: str) -> str:
    """The name of a recipe's bundle: what of the recipe's own name a bundle's may hold."""
    plain = unicodedata.normalize("NFKD", recipe).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-._")[:100] or "model"


def write(
    folder: Path,
    model: "keras.Model | Trained",
    labels: Sequence[str],
    card: Card,
    sample: NDArray[np.uint8],
    files: dict[str, str | bytes] | None = None,
    complete: Callable[[Bundle], None] | None = None,
) -> Bundle:
    """Write a bundle: the old one stays until the new one is whole, a killed run leaves one or the other.

    Other files in the folder of the old one stay.

    `model` takes raw pixel values 0-255, float32, and gives probabilities; it is saved without its optimizer, in words
    that older versions of Keras know too. What ONNX Runtime makes of the file must be what `model` answers on `sample`,
    photos of shape (n, height, width, channels), uint8.
    `files` are further files by name, such as README.md; `complete` may write into the folder of the new bundle what
    can only be found out with it, before it takes its place. The card's `name`, `sha256` and `versions` are filled in.
    Raises `BundleError` where the model is not made of built-in layers alone, or the two engines disagree, and what
    `check_target` raises.
    """
    check_target(folder)
    with replacing(folder, _OWN) as new:
        _save(model, new / MODEL)
        sha256 = hash_file(new / MODEL)
        card = card.model_copy(update={"name": folder.name, "sha256": sha256, "versions": versions()})
        _write_labels(new, labels)
        write_card(new, card)
        _write_files(new, files)
        _check_agreement(read_bundle(new), model, sample)
        if complete:
            complete(read_bundle(new))
    return read_bundle(folder)


def write_copy(
    folder: Path,
    bundle: Bundle,
    card: Card,
    files: dict[str, str | bytes] | None = None,
    complete: Callable[[Bundle], None] | None = None,
) -> Bundle:
    """Write somebody's bundle under another card; its model stays as it is, byte by byte. Else as `write`.

    The card's `name` and `sha256` are filled in. Raises `BundleError` where the model has changed since it was checked.
    """
    check_target(folder)
    content = bundle.model.read_bytes()
    if hashlib.sha256(content).hexdigest() != bundle.sha256:
        raise BundleError(f"{bundle.name}: {bundle.file} has changed since it was checked. Try again.")
    beside = SETTINGS if bundle.exported else ()
    with replacing(folder, (*_OWN, *beside)) as new:
        (new / bundle.file).write_bytes(content)
        for name in beside:
            if (said := read_part(bundle.folder, name)) is not None:
                (new / name).write_bytes(said)
        _write_labels(new, bundle.labels)
        card = card.model_copy(update={"name": folder.name, "sha256": bundle.sha256})
        write_card(new, card)
        _write_files(new, files)
        if complete:
            complete(read_bundle(new))
    return read_bundle(folder)


def _write_labels(folder: Path, labels: Sequence[str]) -> None:
    (folder / LABELS).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")


def _write_files(folder: Path, files: dict[str, str | bytes] | None) -> None:
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def _check_agreement(bundle: Bundle, model: "keras.Model | Trained", sample: NDArray[np.uint8]) -> None:
    """Make sure that the service will answer as the trained network does. Raises `BundleError`."""
    expected = (model if isinstance(model, Trained) else KerasEngine(bundle, model)).predict(sample)
    difference = float(np.abs(OnnxEngine(bundle).predict(sample) - expected).max())
    if not difference <= TOLERANCE:
        raise BundleError(
            f"{bundle.name}: ONNX Runtime differs from the trained network by {difference:.1e}, more than "
            f"{TOLERANCE:.0e}."
        )


def write_card(folder: Path, card: Card) -> None:
    """Write `card.json`. What the card of somebody else's bundle says besides stays in it."""
    path = folder / CARD
    said = {} if is_ours(folder) or not path.exists() else json.loads(path.read_bytes())
    if said:
        said |= card.model_dump(mode="json", exclude_none=True)
        write_file(path, (json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode())
    else:
        write_file(path, card.as_json().encode())


def versions() -> dict[str, str]:
    """Of what made a bundle: the Keras stack and foodscene itself."""
    names = ("foodscene", "keras", "tensorflow", "jax", "torch", "onnx")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _save(model: "keras.Model | Trained", path: Path) -> None:
    try:
        write_graph(model.graph if isinstance(model, Trained) else _saved_by_keras(model, path), path)
    except ModelRefused as error:
        raise BundleError(str(error)) from error
    halve_h5(path)


def _saved_by_keras(model: "keras.Model", path: Path) -> Graph:
    """Save without Keras' advice that `.h5` is an old format: everyone's Keras reads it, which is why it is ours."""
    advice = logging.getLogger("absl")
    level = advice.level
    advice.setLevel(logging.ERROR)
    try:
        model.save(path, include_optimizer=False)
    finally:
        advice.setLevel(level)
    return read_graph(path)


def _some(folder: Path) -> str:
    """A few of the names in a folder."""
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
