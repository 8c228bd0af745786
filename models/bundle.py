"""The bundle: a folder with a model, its labels and its card. The one contract between training and serving."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from foodscene.models.card import Card, CardInput
from foodscene.models.errors import FoodsceneError
from foodscene.models.files import hash_file
from foodscene.models.pixels import InputSpec
from foodscene.models.safety import UnsafeModel, inspect

SHIPPED = Path(__file__).resolve().parent
"""The folder of the bundles that come with foodscene."""

MODEL, LABELS, CARD, ONNX = "model.h5", "labels.txt", "card.json", "model.onnx"
CONFUSION, README = "confusion.json", "README.md"
"""What a bundle's files are called. Whatever else lies in its folder is somebody's own."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_LABELS = 100_000


class BundleError(FoodsceneError, ValueError):
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


def read_bundle(folder: Path) -> Bundle:
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
    card = read_card(folder / CARD)
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
            found[folder.name] = read_bundle(folder)
        except BundleError as error:
            found[folder.name] = error
        except OSError as error:
            found[folder.name] = BundleError(f"{folder.name} cannot be read: {error}")
    return found


def folders(root: Path) -> list[Path]:
    """The folders below `root` that hold a model, sorted by name; none where `root` is no folder.

    Where there is none below and `root` holds a model itself: `root`, as an absolute path, which ends in its name.
    """
    if not root.is_dir():
        return []
    below = (folder for folder in root.iterdir() if not folder.name.startswith((".", "_")))
    return sorted(folder for folder in below if (folder / MODEL).exists()) or (
        [root.resolve() if root.name in ("", "..") else root.absolute()] if (root / MODEL).exists() else []
    )


def default_name(bundles: Iterable[str]) -> str | None:
    """The bundle that answers when nobody names one: `everyday` where it is there, else the first by name."""
    names = sorted(bundles)
    return "everyday" if "everyday" in names else names[0] if names else None


def find_bundle(name: str, root: Path) -> Bundle:
    """The bundle that is meant: a folder's path, a name below `root`, or the default one if `name` is empty.

    A name without a slash is a folder's path too where a bundle lies in the working directory under it.
    """
    if name and ("/" in name or (Path(name) / MODEL).exists()):
        return read_bundle(Path(name))
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


def check_name(name: str) -> None:
    """Make sure that a bundle can be called so. Raises `BundleError`."""
    if not _NAME.fullmatch(name):
        raise BundleError(f"{name!r} is no name for a bundle: use letters, digits, '.', '_' and '-'.")


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        labels = parse_labels(path.read_bytes())
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text: {error}") from error
    if not 2 <= len(labels) <= MOST_LABELS:
        raise BundleError(f"{path} has {len(labels)} labels; a classifier has at least two, a line each.")
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise BundleError(f"{path} has the label {twice!r} twice.")
    return labels


def parse_labels(content: bytes) -> tuple[str, ...]:
    """The labels that `labels.txt` of this content holds. Raises `UnicodeDecodeError`."""
    return tuple(line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip())


def read_card(path: Path) -> Card:
    """A bundle's card; one without a word where there is none. Raises `BundleError`."""
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
            raise BundleError(
                f"{name}: card.json gives the input as {_sizes(spec.shape)}, model.h5 as {_sizes(shape)}."
            )
        return spec
    height, width, channels = shape or (None, None, None)
    if height is None or width is None or channels not in (1, 3):
        raise BundleError(
            f"{name}: model.h5 leaves its input size open ({_sizes((height, width, channels))}). Give it in card.json: "
            '{"input": {"height": 128, "width": 128, "channels": 3}}.'
        )
    return CardInput(height=height, width=width, channels=1 if channels == 1 else 3).spec


def _sizes(shape: tuple[int | None, ...]) -> str:
    """A shape in words; what is open is called so."""
    return " x ".join("any" if size is None else str(size) for size in shape)
