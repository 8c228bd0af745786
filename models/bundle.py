"""The bundle: a folder with a model, its labels and its card. The one contract between training and serving."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from foodscene.models import files
from foodscene.models.card import NAME, Card, CardInput, first_mistake
from foodscene.models.errors import FoodsceneError
from foodscene.models.exported.reader import Exported
from foodscene.models.exported.settings import CONFIG, PREPROCESSOR
from foodscene.models.familiarity import Familiarity, FamiliarityError
from foodscene.models.familiarity import read as read_familiarity
from foodscene.models.graph.features import features_of
from foodscene.models.graph.graph import Graph, ModelRefused
from foodscene.models.labels import LabelsError, parse, parse_indices, without_numbers
from foodscene.models.network import exported, saved
from foodscene.models.outputs import OutputKind, check, kind_of, labels_of
from foodscene.models.pixels import InputSpec
from foodscene.models.scaling import Scaling, scaling

SHIPPED = Path(__file__).resolve().parent
"""The folder of the bundles that come with foodscene."""

MODEL, LABELS, CARD, ONNX = "model.h5", "labels.txt", "card.json", "model.onnx"
MODELS = (MODEL, "keras_model.h5", "model.keras", ONNX)
"""What the model's file may be called: by us, by Teachable Machine, as an archive, by those who exported it. The first
that is there counts."""
INDICES = "class_indices.json"
SETTINGS = (CONFIG, PREPROCESSOR)
"""What exporters write beside a `model.onnx`."""
CONFUSION, FAMILIAR, README = "confusion.json", "familiar.npz", "README.md"
"""What a bundle's files are called. Whatever else lies in its folder is somebody's own."""

MOST_LABELS, LONGEST_LABEL = 100_000, 1_000
MOST_BYTES = {
    MODEL: (1 << 31) - 1,
    ONNX: (1 << 31) - 1,
    LABELS: 16_000_000,
    INDICES: 16_000_000,
    CARD: 16_000_000,
    CONFUSION: 16_000_000,
    FAMILIAR: 16_000_000,
    **dict.fromkeys(SETTINGS, 16_000_000),
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
    exported: Exported | None = None
    """How a `model.onnx` is asked, where that is the model."""
    familiar: Familiarity | None = None
    """What photos are familiar to it; None where the bundle does not say."""

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
    try:
        with files.opening(folder / file, MOST_BYTES[file if file == ONNX else MODEL]) as opened:
            content = BytesIO(opened.read()) if file == ONNX else opened  # what is checked below is what is hashed
            sha256 = files.hash_content(content)
            if card.sha256 not in (None, sha256):
                raise BundleError(
                    f"{folder.name}: {file} is not the file that card.json describes (their sha256 differ). "
                    "Copy the bundle again, or remove sha256 from card.json if you replaced the model on purpose."
                )
            said = card.input or CardInput()
            if file == ONNX:
                found = exported(content, file, said, lambda part: read_part(folder, part))
            else:
                found = saved(content, file, said)
        output = card.output or found.settings.output or kind_of(found.network)
        check(output, found.network)
    except ModelRefused as error:
        raise BundleError(f"{folder.name}: {error}") from error
    except (files.UnreadableFile, OSError) as error:
        raise _unreadable(folder, error) from error
    labels = _labels(folder, labels_of(output, found.network), found.settings.labels, ours=card.sha256 is not None)
    if found.settings.temperature and "temperature" not in card.model_fields_set:
        card = card.model_copy(update={"temperature": found.settings.temperature})
    values = scaling(found.input, found.settings.said_by)
    asked = found.network if isinstance(found.network, Exported) else None
    familiar = _familiar(folder, sha256, found.network) if isinstance(found.network, Graph) else None
    _check_card(folder, card, labels, familiar)
    return Bundle(folder, labels, found.input.spec, card, sha256, output, values, file, asked, familiar)


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


def default_name(bundles: Iterable[str], fallbacks: Collection[str] = ()) -> str | None:
    """The bundle that answers when nobody names one: `everyday` where it is there, else the first by name.

    Those that are there to be others' `fallbacks` come last.
    """
    names = sorted(bundles, key=lambda name: (name in fallbacks, name))
    return "everyday" if "everyday" in names else names[0] if names else None


def find_bundle(name: str, root: Path) -> Bundle:
    """The bundle that is meant: a folder's path, a name below `root`, or the default one if `name` is empty.

    A name without a slash is a folder's path too where a bundle lies in the working directory under it.
    """
    if name and ("/" in name or model_file(Path(name))):
        return read_bundle(Path(name))
    bundles = {found: bundle for found, bundle in find(root).items() if isinstance(bundle, Bundle) or found == name}
    fallbacks = {found for found, bundle in bundles.items() if isinstance(bundle, Bundle) and bundle.card.foreign}
    chosen = bundles.get(name or default_name(bundles, fallbacks) or "")
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
    if not re.fullmatch(NAME, name):
        raise BundleError(f"{name!r} is no name for a bundle: use letters, digits, '.', '_' and '-'.")


def _labels(folder: Path, outputs: int, told: tuple[str, ...] | None, *, ours: bool) -> tuple[str, ...]:
    """A folder's labels, or those `told` beside a model, as many as it tells apart. Only others' lines have numbers."""
    path, content = folder / LABELS, read_part(folder, LABELS)
    if content is None:
        path, content = folder / INDICES, read_part(folder, INDICES)
    if content is None and told and len(told) == outputs and len(set(told)) == outputs:
        return told
    if content is None:
        raise BundleError(
            f"{folder} has no labels.txt: write one with {outputs:,} lines, a label per line in the order of the "
            "model's outputs."
        )
    try:
        labels = parse_indices(content) if path.name == INDICES else parse(content)
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text: {error}. Save it as UTF-8.") from error
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
            f"{folder.name}: {path.name} has {len(labels):,} labels, and the model tells {outputs:,} apart: "
            "it needs a line for each."
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


def _familiar(folder: Path, sha256: str, graph: Graph) -> Familiarity | None:
    content = read_part(folder, FAMILIAR)
    if content is None:
        return None
    features = features_of(graph)
    try:
        return read_familiarity(content, sha256, graph.shapes[features][1] if features else None)
    except FamiliarityError as error:
        raise BundleError(
            f"{folder / FAMILIAR}: {error}. Remove it, or make it anew: foodscene calibrate {folder.name} --data PHOTOS"
        ) from error


def _check_card(folder: Path, card: Card, labels: tuple[str, ...], familiar: Familiarity | None) -> None:
    """Make sure that what a card says of strange photos is about its bundle. Raises `BundleError`."""
    if strange := [label for label in card.foreign if label not in set(labels)]:
        raise BundleError(
            f"{folder / CARD}: foreign names {strange[0][:100]!r}, which is none of the labels. Spell it as there."
        )
    if card.fallback and not familiar:
        raise BundleError(
            f"{folder / CARD} names the fallback {card.fallback.bundle}, whose rule takes {FAMILIAR}, which is not "
            f"there. Make both: foodscene calibrate {folder.name} --data PHOTOS --fallback {card.fallback.bundle} "
            "--strangers PHOTOS"
        )


def read_card(folder: Path) -> Card:
    """A bundle's card; one without a word where there is none. Raises `BundleError`."""
    content = read_part(folder, CARD)
    if content is None:
        return Card()
    try:
        from_json(content, allow_inf_nan=False)  # JSON has no NaN, and no answer could repeat one
        return Card.model_validate_json(content)
    except ValueError as error:
        said = first_mistake(error) if isinstance(error, ValidationError) else f"the file is not JSON: {error}"
        raise BundleError(f"{folder / CARD}: {said}") from error
