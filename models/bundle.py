"""The bundle: a folder with a model, its labels and its card. The one contract between training and serving."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from foodscene.models.card import Card, CardInput
from foodscene.models.errors import FoodsceneError
from foodscene.models.files import hash_file
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

    Raises `BundleError` for missing or unreadable parts, a card that does not fit, and a model that is not made of
    Keras' built-in layers alone.
    """
    folder = folder.resolve()
    check_name(folder.name)
    file = model_file(folder)
    if file is None:
        raise BundleError(
            f"{folder} has no {MODEL}: a bundle holds model.h5 and labels.txt, a label per line in output order."
        )
    card = read_card(folder / CARD)
    sha256 = hash_file(folder / file)
    if card.sha256 not in (None, sha256):
        raise BundleError(
            f"{folder.name}: {file} is not the file that card.json describes (their sha256 differ). "
            "Copy the bundle again, or remove sha256 from card.json if you replaced the model on purpose."
        )
    said = card.input or CardInput()
    try:
        graph = outline(folder / file, sides=(said.height, said.width) if said.height and said.width else None)
        output = card.output or kind_of(graph)
        check(output, graph)
    except ModelRefused as error:
        raise BundleError(f"{folder.name}: {error}") from error
    labels = _labels(folder, labels_of(output, graph), ours=card.sha256 is not None)
    taken = _input(folder.name, file, said, graph)
    told, why = ({}, "by card.json") if set(SCALING) & said.model_fields_set else guess(graph)
    taken = taken.model_copy(update={key: value for key, value in told.items() if key not in said.model_fields_set})
    return Bundle(folder, labels, taken.spec, card, sha256, output, scaling(taken, why), file)


def model_file(folder: Path) -> str | None:
    """What the model's file in a folder is called; None where there is none."""
    return next((name for name in MODELS if (folder / name).is_file()), None)


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
    """The folders below `root` that hold a model, sorted by name; none where `root` is no folder."""
    if not root.is_dir():
        return []
    return sorted(folder for folder in root.iterdir() if not folder.name.startswith((".", "_")) and model_file(folder))


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
    path = folder / (LABELS if (folder / LABELS).exists() or not (folder / INDICES).exists() else INDICES)
    if not path.exists():
        raise BundleError(
            f"{folder} has no labels.txt: write one with {outputs:,} lines, a label per line in the order of the "
            "model's outputs."
        )
    try:
        labels = parse_indices(path.read_bytes()) if path.name == INDICES else parse(path.read_bytes())
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text: {error}") from error
    except LabelsError as error:
        raise BundleError(f"{path}: {error}.") from error
    labels = labels if ours else without_numbers(labels)
    if not 2 <= len(labels) <= MOST_LABELS:
        raise BundleError(f"{path} has {len(labels)} labels; a classifier has at least two, a line each.")
    if len(labels) != outputs:
        raise BundleError(
            f"{folder.name}: {path.name} has {len(labels):,} labels, and the model tells {outputs:,} apart."
        )
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise BundleError(f"{path} has the label {twice!r} twice.")
    return labels


def read_card(path: Path) -> Card:
    """A bundle's card; one without a word where there is none. Raises `BundleError`."""
    if not path.exists():
        return Card()
    try:
        return Card.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(f"{path}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from error


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
            f"{name}: {file} leaves its input size open ({shape}). Give it in card.json: "
            '{"input": {"height": 128, "width": 128, "channels": 3}}.'
        )
    if any(told not in (None, taken) for told, taken in zip(shape, given.spec.shape, strict=True)):
        raise BundleError(f"{name}: card.json gives the input as {given.spec.shape}, {file} as {shape}.")
    try:
        return CardInput.model_validate(given.model_dump(exclude_unset=True) | given.spec._asdict())
    except ValidationError as error:
        raise BundleError(f"{name}: {file} takes photos of shape {shape}: {error.errors()[0]['msg']}") from error
