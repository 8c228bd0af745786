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
from foodscene.models.graph.graph import Graph, ModelRefused
from foodscene.models.graph.reader import outline
from foodscene.models.labels import LabelsError, parse, parse_indices, without_numbers
from foodscene.models.outputs import OutputKind, check, kind_of, labels_of
from foodscene.models.pixels import InputSpec
from foodscene.models.scaling import SCALING, Scaling, guess, scaling

SHIPPED = Path(__file__).resolve().parent
"""The folder of the bundles that come with foodscene."""

MODEL, LABELS, CARD, ONNX = "model.h5", "labels.txt", "card.json", "model.onnx"
MODELS = (MODEL, "keras_model.h5", "model.keras")
"""What the model's file may be called: by us, by Teachable Machine, as an archive. The first that is there counts."""
INDICES = "class_indices.json"
CONFUSION, README = "confusion.json", "README.md"
"""What a bundle's files are called. Whatever else lies in its folder is somebody's own."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_LABELS, LONGEST_LABEL = 100_000, 1_000
MOST_BYTES = {
    MODEL: (1 << 31) - 1,
    ONNX: (1 << 31) - 1,
    LABELS: 16_000_000,
    INDICES: 16_000_000,
    CARD: 16_000_000,
    CONFUSION: 16_000_000,
}
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
    """Of the model's file, in hexadecimal."""
    output: OutputKind
    scaling: Scaling
    file: str = MODEL
    """What the model's file is called."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def title(self) -> str:
        return self.card.title or self.name

    @property
    def model(self) -> Path:
        return self.folder / self.file


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle and check everything that can be checked without running it.

    A link to a bundle's folder is a bundle of the link's name. Raises `BundleError` for missing or unreadable parts,
    parts that are no regular files of a reasonable size in that folder, a card that does not fit, and a model that is
    not made of Keras' built-in layers alone.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - `resolve` would follow a link, whose name counts
    file = model_file(folder)
    check_name(folder.name)
    if file is None:
        raise BundleError(
            f"{folder} has no {MODEL}: a bundle holds model.h5 and labels.txt, a label per line in output order."
        )
    card = read_card(folder)
    said = card.input or CardInput()
    try:
        with files.opening(folder / file, MOST_BYTES[MODEL]) as content:
            sha256 = files.hash_content(content)
            if card.sha256 not in (None, sha256):
                raise BundleError(
                    f"{folder.name}: {file} is not the file that card.json describes (their sha256 differ). "
                    "Copy the bundle again, or remove sha256 from card.json if you replaced the model on purpose."
                )
            graph = outline(content, file, sides=(said.height, said.width) if said.height and said.width else None)
        output = card.output or kind_of(graph)
        check(output, graph)
    except ModelRefused as error:
        raise BundleError(f"{folder.name}: {error}") from error
    except (files.UnreadableFile, OSError) as error:
        raise _unreadable(folder, error) from error
    labels = _labels(folder, labels_of(output, graph), ours=card.sha256 is not None)
    taken = _input(folder.name, file, said, graph)
    told, why = ({}, "by card.json") if set(SCALING) & said.model_fields_set else guess(graph)
    taken = taken.model_copy(update={key: value for key, value in told.items() if key not in said.model_fields_set})
    return Bundle(folder, labels, taken.spec, card, sha256, output, scaling(taken, why), file)


def model_file(folder: Path) -> str | None:
    """What the model's file in a folder is called; None where there is none. Raises `BundleError` as `locate` does."""
    return next((name for name in MODELS if locate(folder, name)), None)


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
    for name in MODELS:
        try:
            (folder / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # such as lost+found: whoever reads it says what is wrong with it
            return True
        return True
    return False


def default_name(bundles: Iterable[str]) -> str | None:
    """The bundle that answers when nobody names one: `everyday` where it is there, else the first by name."""
    names = sorted(bundles)
    return "everyday" if "everyday" in names else names[0] if names else None


def find_bundle(name: str, root: Path) -> Bundle:
    """The bundle that is meant: a folder's path, a name below `root`, or the default one if `name` is empty.

    A name without a slash is a folder's path too where a bundle lies in the working directory under it.
    """
    if name and ("/" in name or model_file(Path(name))):
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


def _labels(folder: Path, outputs: int, *, ours: bool) -> tuple[str, ...]:
    """A folder's labels, which are as many as the model tells apart. Only others' lines begin with numbers."""
    path, content = folder / LABELS, read_part(folder, LABELS)
    if content is None:
        path, content = folder / INDICES, read_part(folder, INDICES)
    if content is None:
        raise BundleError(
            f"{folder} has no labels.txt: write one with {outputs:,} lines, a label per line in the order of the "
            "model's outputs."
        )
    try:
        labels = parse_indices(content) if path.name == INDICES else parse(content)
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text: {error}") from error
    except LabelsError as error:
        raise BundleError(f"{path}: {error}.") from error
    labels = labels if ours else without_numbers(labels)
    if not 2 <= len(labels) <= MOST_LABELS:
        raise BundleError(
            f"{path} has {len(labels):,} labels; a classifier has at least two, a line each, "
            f"and at most {MOST_LABELS:,}."
        )
    if len(labels) != outputs:
        raise BundleError(
            f"{folder.name}: {path.name} has {len(labels):,} labels, and the model tells {outputs:,} apart."
        )
    if len(longest := max(labels, key=len)) > LONGEST_LABEL:
        raise BundleError(
            f"{path} has a label of {len(longest):,} characters, which begins {longest[:40]!r}; "
            f"at most {LONGEST_LABEL:,} are shown."
        )
    if len(set(labels)) < len(labels):
        [(twice, _)] = Counter(labels).most_common(1)
        raise BundleError(f"{path} has the label {twice!r} twice.")
    return labels


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


def _input(name: str, file: str, said: CardInput, graph: Graph) -> CardInput:
    """What the card says of the input, which must not contradict the model, and the model of the rest."""
    shape = graph.input_shape[1:]
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise BundleError(
            f"{name}: {file} takes an input of shape {graph.input_shape}; photos have (None, height, width, channels) "
            "with 1 or 3 channels, last."
        )
    height, width, channels = shape
    given = said.model_copy(
        update={
            "height": said.height or height,
            "width": said.width or width,
            "channels": said.channels if "channels" in said.model_fields_set else channels,
        }
    )
    if given.height is None or given.width is None:
        raise BundleError(
            f"{name}: {file} leaves its input size open ({_sizes(shape)}). Give it in card.json: "
            '{"input": {"height": 128, "width": 128, "channels": 3}}.'
        )
    if any(told not in (None, taken) for told, taken in zip(shape, given.spec.shape, strict=True)):
        raise BundleError(
            f"{name}: card.json gives the input as {_sizes(given.spec.shape)}, {file} as {_sizes(shape)}."
        )
    try:
        return CardInput.model_validate(given.model_dump(exclude_unset=True) | given.spec._asdict())
    except ValidationError as error:
        raise BundleError(f"{name}: {file} takes photos of {_sizes(shape)}: {_first(error)}") from error


def _sizes(shape: tuple[int | None, ...]) -> str:
    """A shape in words; what is open is called so."""
    return " x ".join("any" if size is None else str(size) for size in shape)
