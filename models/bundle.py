"""The bundle: a folder with a model, its labels and its card. The one contract between training and serving."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from foodscene.models import files
from foodscene.models.card import Card, CardInput
from foodscene.models.errors import FoodsceneError
from foodscene.models.pixels import InputSpec
from foodscene.models.safety import UnsafeModel, inspect

SHIPPED = Path(__file__).resolve().parent
"""The folder of the bundles that come with foodscene."""

MODEL, LABELS, CARD, ONNX = "model.h5", "labels.txt", "card.json", "model.onnx"
CONFUSION, README = "confusion.json", "README.md"
"""What a bundle's files are called. Whatever else lies in its folder is somebody's own."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_LABELS = 100_000
MOST_BYTES = {MODEL: (1 << 31) - 1, ONNX: (1 << 31) - 1, LABELS: 16_000_000, CARD: 16_000_000, CONFUSION: 16_000_000}
"""What a bundle's files may have. The largest network of Keras' applications has 1.4 GB, an ONNX file up to 2 GiB."""


class BundleError(FoodsceneError, ValueError):
    """A folder that is not a usable bundle. Its text says which file is wrong and what to do."""


class UnsafeBundle(BundleError):
    """A bundle that holds what none may hold. It is not run by another engine instead."""


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

    A link to a bundle's folder is a bundle of the link's name. Raises `BundleError` for missing or unreadable parts,
    parts that are no regular files of a reasonable size in that folder, a card that does not fit, and a model that is
    not made of Keras' built-in layers alone.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - `resolve` would follow a link, whose name counts
    places = {part: locate(folder, part) for part in (MODEL, LABELS)}
    check_name(folder.name)
    for part, place in places.items():
        if place is None:
            raise BundleError(
                f"{folder} has no {part}: a bundle holds model.h5 and labels.txt, a label per line in output order."
            )
    labels = _read_labels(folder)
    card = read_card(folder)
    try:
        with files.opening(folder / MODEL, MOST_BYTES[MODEL]) as file:
            sha256 = files.hash_content(file)
    except (files.UnreadableFile, OSError) as error:
        raise _unreadable(folder, error) from error
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


def locate(folder: Path, part: str) -> Path | None:
    """Where a part of a bundle is; None where there is none.

    Raises `BundleError` for one that cannot be looked at, and for a link that leads out of the bundle's folder: what
    it leads to may be meant for others.
    """
    path = folder / part
    try:
        target = path.resolve(strict=True)
        home = folder.resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RuntimeError) as error:  # the latter for links in a circle
        raise _unreadable(folder, error) from error
    if not target.is_relative_to(home):
        raise UnsafeBundle(f"{path} is a link out of the bundle's folder. Put the file itself there.")
    return path


def read_part(folder: Path, part: str) -> bytes | None:
    """The content of a part of a bundle; None where there is none. Raises `BundleError`."""
    path = locate(folder, part)
    try:
        return files.read(path, MOST_BYTES[part]) if path else None
    except (files.UnreadableFile, OSError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> BundleError:
    return BundleError(f"{folder.name} cannot be read: {error}")


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
    return found


def folders(root: Path) -> list[Path]:
    """The folders below `root` that hold a model or cannot be looked into, sorted; none where `root` is no folder.

    `root` itself too, as an absolute path, which ends in its name, where it is a bundle.
    """
    if not root.is_dir():
        return []
    found = [folder for folder in root.iterdir() if not folder.name.startswith((".", "_")) and _may_hold(folder)]
    if _may_hold(root) and (not found or (root / LABELS).exists()):
        own = root.resolve() if root.name in ("", "..") else root.absolute()
        found += [own] if own.name not in {folder.name for folder in found} else []
    return sorted(found)


def _may_hold(folder: Path) -> bool:
    try:
        (folder / MODEL).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # such as lost+found: whoever reads it says what is wrong with it
        return True
    return True


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


def _read_labels(folder: Path) -> tuple[str, ...]:
    path = folder / LABELS
    try:
        labels = parse_labels(read_part(folder, LABELS) or b"")
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text: {error}") from error
    if not 2 <= len(labels) <= MOST_LABELS:
        raise BundleError(f"{path} has {len(labels)} labels; a classifier has at least two, a line each.")
    if len(set(labels)) < len(labels):
        [(twice, _)] = Counter(labels).most_common(1)
        raise BundleError(f"{path} has the label {twice!r} twice.")
    return labels


def parse_labels(content: bytes) -> tuple[str, ...]:
    """The labels that `labels.txt` of this content holds. Raises `UnicodeDecodeError`."""
    return tuple(line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip())


def read_card(folder: Path) -> Card:
    """A bundle's card; one without a word where there is none. Raises `BundleError`."""
    content = read_part(folder, CARD)
    if content is None:
        return Card()
    try:
        from_json(content, allow_inf_nan=False)  # JSON has no NaN, and no answer could repeat one
        return Card.model_validate_json(content)
    except ValueError as error:
        said = _first(error) if isinstance(error, ValidationError) else f"the file is not JSON: {error}"
        raise BundleError(f"{folder / CARD}: {said}") from error


def _first(error: ValidationError) -> str:
    """What is wrong first, and where."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


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
    try:
        return CardInput(height=height, width=width, channels=1 if channels == 1 else 3).spec
    except ValidationError as error:
        taken = _sizes((height, width, channels))
        raise BundleError(f"{name}: model.h5 takes photos of {taken}: {_first(error)}") from error


def _sizes(shape: tuple[int | None, ...]) -> str:
    """A shape in words; what is open is called so."""
    return " x ".join("any" if size is None else str(size) for size in shape)
