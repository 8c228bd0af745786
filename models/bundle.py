"""The bundle: a folder with a model, its labels and its card. The one contract between training and serving."""

import logging
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from foodscene.models import folders as writing
from foodscene.models.card import Card, CardInput
from foodscene.models.files import OccupiedError, check_writable, hash_file
from foodscene.models.half_precision import halve_h5
from foodscene.models.pixels import InputSpec
from foodscene.models.safety import UnsafeModel, inspect

if TYPE_CHECKING:
    import keras

SHIPPED = Path(__file__).resolve().parent
"""The folder of the bundles that come with foodscene."""

MODEL, LABELS, CARD, ONNX = "model.h5", "labels.txt", "card.json", "model.onnx"
"""What a bundle's files are called; what else lies in its folder is for people."""

_OWN = (MODEL, LABELS, CARD, ONNX, "confusion.json", "README.md")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_LABELS = 100_000


class BundleError(ValueError):
    """A folder that is not a usable bundle. Its text says which file is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that has been read and checked; nothing of its model has been run or deserialized."""

    folder: Path
    labels: tuple[str, ...]
    spec: InputSpec
    card: Card
    sha256: str
    """Of `model.h5`, in hexadecimal."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def title(self) -> str:
        return self.card.title or self.name

    @property
    def model(self) -> Path:
        return self.folder / MODEL

    @property
    def onnx(self) -> Path:
        return self.folder / ONNX


def read(folder: Path) -> Bundle:
    """Read a bundle and check everything that can be checked without running it.

    Raises `BundleError` for missing or unreadable parts, a card that does not fit, and a model that is not made of
    Keras' built-in layers alone.
    """
    folder = folder.resolve()
    check_name(folder.name)
    for part in (MODEL, LABELS):
        if not (folder / part).is_file():
            raise BundleError(
                f"{folder} has no {part}: a bundle holds model.h5 and labels.txt, a label per line in output order."
            )
    labels = _read_labels(folder / LABELS)
    card = _read_card(folder / CARD)
    sha256 = hash_file(folder / MODEL)
    if card.sha256 not in (None, sha256):
        raise BundleError(
            f"{folder.name}: model.h5 is not the file that card.json describes (their sha256 differ). "
            "Copy the bundle again, or remove sha256 from card.json if you replaced the model on purpose."
        )
    try:
        architecture = inspect(folder / MODEL)
    except UnsafeModel as error:
        raise BundleError(f"{folder.name}: {error}") from error
    return Bundle(folder, labels, _input_spec(folder.name, card, architecture.input_shape), card, sha256)


def find(root: Path) -> dict[str, Bundle | BundleError]:
    """The bundles below a folder by name: each read, or the error that says why it cannot be used."""
    if not root.is_dir():
        raise BundleError(f"{root} is not a folder. Give the folder that holds the bundles, one sub-folder each.")
    found: dict[str, Bundle | BundleError] = {}
    for folder in folders(root):
        try:
            found[folder.name] = read(folder)
        except BundleError as error:
            found[folder.name] = error
        except OSError as error:
            found[folder.name] = BundleError(f"{folder.name} cannot be read: {error}")
    return found


def folders(root: Path) -> list[Path]:
    """The folders below `root` that hold a model, sorted by name; none where `root` is no folder."""
    if not root.is_dir():
        return []
    return sorted(
        folder for folder in root.iterdir() if not folder.name.startswith((".", "_")) and (folder / MODEL).exists()
    )


def default_name(bundles: Iterable[str]) -> str | None:
    """The bundle that answers when nobody names one: `everyday` where it is there, else the first by name."""
    names = sorted(bundles)
    return "everyday" if "everyday" in names else names[0] if names else None


def choose(name: str, root: Path) -> Bundle:
    """The bundle that is meant: a folder's path, a name below `root`, or the default one if `name` is empty.

    A name without a slash is a folder's path too where a bundle lies in the working directory under it.
    """
    if name and ("/" in name or (Path(name) / MODEL).exists()):
        return read(Path(name))
    bundles = {found: bundle for found, bundle in find(root).items() if isinstance(bundle, Bundle) or found == name}
    chosen = bundles.get(name or default_name(bundles) or "")
    if isinstance(chosen, BundleError):
        raise chosen
    if chosen is None:
        known = ", ".join(bundles) or "none at all"
        raise BundleError(
            f"There is no bundle {name!r} in {root}: there is {known}." if name else f"{root} holds no bundle."
        )
    return chosen


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
    if any(folder.iterdir()) and not is_ours(folder):
        raise OccupiedError(
            f"{folder} holds {_some(folder)}, and no bundle that foodscene wrote: it is not replaced. "
            "Name a new folder, or one in it."
        )


def check_name(name: str) -> None:
    """Make sure that a bundle can be called so. Raises `BundleError`."""
    if not _NAME.fullmatch(name):
        raise BundleError(f"{name!r} is no name for a bundle: use letters, digits, '.', '_' and '-'.")


def is_ours(folder: Path) -> bool:
    """Whether a folder is a bundle as we wrote it: its card names the sha256 of its model."""
    try:
        card = _read_card(folder / "card.json")
        return card.sha256 is not None and card.sha256 == hash_file(folder / "model.h5")
    except (BundleError, OSError):
        return False


def check_labels(labels: Sequence[str]) -> None:
    """Make sure that `labels.txt` can hold these labels, and gives them back. Raises `BundleError`."""
    kept: dict[str, str] = {}
    for label in labels:
        shown = repr(os.fsencode(label).decode(errors="backslashreplace")).replace("\\\\x", "\\x")
        try:
            read = _lines(label.encode())
        except UnicodeEncodeError:
            raise BundleError(f"The class {shown} has a name that is not UTF-8. Rename it.") from None
        if len(read) != 1:
            said = "has a line end in its name" if read else "has an empty name"
            raise BundleError(f"The class {shown} {said}, and a label is a line of labels.txt. Rename it.")
        if read[0] in kept:
            raise BundleError(
                f"The classes {kept[read[0]]} and {shown} have one name, as blanks around a name do not count. "
                "Rename one, or put their photos together."
            )
        kept[read[0]] = shown
    if len(kept) > _MOST_LABELS:
        raise BundleError(f"There are {len(kept):,} classes; a bundle holds up to {_MOST_LABELS:,} labels.")


def name_for(recipe: str) -> str:
    """The name of a recipe's bundle: what of the recipe's own name a bundle's may hold."""
    plain = unicodedata.normalize("NFKD", recipe).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-._")[:100] or "model"


def write(
    folder: Path,
    model: "keras.Model",
    labels: Sequence[str],
    card: Card,
    sample: NDArray[np.uint8],
    files: dict[str, str | bytes] | None = None,
) -> Bundle:
    """Write a bundle: the old one stays until the new one is whole, a killed run leaves one or the other.

    Other files in the folder of the old one stay.

    `model` takes raw pixel values 0-255, float32, and gives probabilities; it is saved without its optimizer, and
    compiled to ONNX, which must answer as Keras does on `sample`, photos of shape (n, height, width, channels), uint8.
    `files` are further files by name, such as README.md. The card's `name`, `sha256` and `versions` are filled in.
    Raises `BundleError` where the model is not made of built-in layers alone, or ONNX and Keras disagree, and what
    `check_target` raises.
    """
    from foodscene.models.compiler import compile_onnx, versions  # needs Keras, which serving does without

    check_target(folder)
    with writing.replacing(folder, _OWN) as new:
        _save(model, new / "model.h5")
        sha256 = hash_file(new / "model.h5")
        card = card.model_copy(update={"name": folder.name, "sha256": sha256, "versions": versions()})
        (new / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
        (new / "card.json").write_text(card.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
        for name, content in (files or {}).items():
            (new / name).write_bytes(content.encode() if isinstance(content, str) else content)
        compile_onnx(read(new), model, sample)
    return read(folder)


def _save(model: "keras.Model", path: Path) -> None:
    """Save without Keras' advice that `.h5` is an old format: everyone's Keras reads it, which is why it is ours."""
    advice = logging.getLogger("absl")
    level = advice.level
    advice.setLevel(logging.ERROR)
    try:
        model.save(path, include_optimizer=False)
    finally:
        advice.setLevel(level)
    halve_h5(path)


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        labels = _lines(path.read_bytes())
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text: {error}") from error
    if not 2 <= len(labels) <= _MOST_LABELS:
        raise BundleError(f"{path} has {len(labels)} labels; a classifier has at least two, a line each.")
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise BundleError(f"{path} has the label {twice!r} twice.")
    return labels


def _lines(content: bytes) -> tuple[str, ...]:
    """The labels that `labels.txt` of this content holds."""
    return tuple(line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip())


def _read_card(path: Path) -> Card:
    if not path.exists():
        return Card()
    try:
        return Card.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(f"{path}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from error


def _input_spec(name: str, card: Card, shape: tuple[int | None, int | None, int | None] | None) -> InputSpec:
    """What the card says, which must not contradict the model; without a card, what the model says."""
    if card.input:
        spec = card.input.spec
        if shape and any(told not in (None, said) for told, said in zip(shape, spec.shape, strict=True)):
            raise BundleError(f"{name}: card.json gives the input as {spec.shape}, model.h5 as {shape}.")
        return spec
    height, width, channels = shape or (None, None, None)
    if height is None or width is None or channels not in (1, 3):
        raise BundleError(
            f"{name}: model.h5 leaves its input size open ({shape}). Give it in card.json: "
            '{"input": {"height": 128, "width": 128, "channels": 3}}.'
        )
    return CardInput(height=height, width=width, channels=1 if channels == 1 else 3).spec


def _some(folder: Path) -> str:
    """A few of the names in a folder."""
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
