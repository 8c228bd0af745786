"""Someone's own photos: a folder per class, or ``train``, ``val`` and ``test`` with a folder per class in each.

Classes are called what the folders are called. Where all the names are numbers, they are in numeric order.
"""

import re
from collections import Counter, defaultdict
from itertools import takewhile
from pathlib import PurePosixPath

from foodscene.training.datasets.dataset import Dataset, Sample, Split
from foodscene.training.datasets.files import DatasetError, Files
from foodscene.training.datasets.names import composed, listed, matched
from foodscene.training.datasets.split_names import is_holder, kind_of

NEEDS = "a folder of photos per class, by themselves or within train/, val/ and test/, or with these within"

Place = tuple[str, ...]
"""The folders in which a photo lies, from the outermost on."""


def read(files: Files, name: str) -> Dataset | None:
    """The data set in `files`, or None where no photo lies in a folder.

    Where training photos lie beside others, `train/` beside `test/`, these are the split whatever else is there; so
    are they within each class.
    Raises `DatasetError` where all folders hold folders of the same names, so that nobody can tell which are classes.
    """
    places = {photo: PurePosixPath(photo).parts[:-1] for photo in files.photos()}
    top, splits = _outermost(set(places.values()))
    below = {photo: place[len(top) :] for photo, place in places.items() if place[: len(top)] == top}
    found: dict[str, tuple[str, Split | None]]
    if splits:
        inner = {photo: _class_folder(place) for photo, place in below.items() if place and place[0] in splits}
        found = {photo: (label, splits[below[photo][0]]) for photo, label in inner.items() if label}
    elif splits_within := _splits_within(set(below.values())):
        found = {photo: (place[0], splits_within[place[1]]) for photo, place in below.items()}
    else:
        _refuse_splits(files, below)
        _refuse_alike(files, below)
        found = {photo: (place[0], None) for photo, place in below.items() if place}
    if not found:
        return None
    names, notes = _classes(found)
    classes = tuple(sorted(set(names.values()), key=int if all(map(str.isdecimal, names.values())) else None))
    if aside := len(places) - len(found):
        folders = sorted({place[0] + "/" for place in below.values() if splits and place and place[0] not in splits})
        where = (f" of {_all_of(splits)}" if splits else "") + (f", in {listed(folders, 5)}" if folders else "")
        notes.append(f"{aside:,} photos lie outside of the class folders{where}: left out.")
    return Dataset(
        name,
        "folder",
        classes,
        [Sample(files, photo, photo, classes.index(names[label]), own) for photo, (label, own) in found.items()],
        notes=tuple(notes),
    )


def _outermost(places: set[Place]) -> tuple[Place, dict[str, Split]]:
    """The folder that holds the classes, or the splits; and which split each of these is."""
    top: Place = ()
    while True:
        within = [place[len(top) :] for place in places if place[: len(top)] == top]
        heads = sorted({place[0] for place in within if place})
        splits = _splits(heads, {place[0] for place in within if len(place) > 1})
        if splits or len(heads) != 1 or not any(len(place) > 1 for place in within):
            return top, splits
        top = (*top, heads[0])


def _class_folder(place: Place) -> str | None:
    """The class below a split's folder, which may be doubled (`train/train/cat`) or hold one for images."""
    split, *inner = place
    if len(inner) > 1 and (inner[0] == split or is_holder(inner[0])):
        inner = inner[1:]
    return inner[0] if inner else None


def _splits(folders: list[str], with_classes: set[str]) -> dict[str, Split]:
    """Which folders are splits: those of training and of something else, each with folders of its own.

    What all of them share counts for nothing: `food_train`, `food_test`. A folder of training photos alone is none,
    nor is a class "train" among vehicles.
    """
    said = {folder: kind for folder in folders if (kind := kind_of(folder))}
    if not said and len(folders) > 1:
        before, after = _shared(folders), _shared([folder[::-1] for folder in folders])
        short = {folder: folder[len(before) : len(folder) - len(after)] for folder in folders}
        said = {folder: kind for folder, rest in short.items() if (kind := kind_of(rest))}
    tested = "test" in said.values()
    splits: dict[str, Split] = {
        folder: ("validation" if tested else "test") if kind == "evaluation" else kind  # type: ignore[misc]
        for folder, kind in said.items()
        if folder in with_classes and kind != "unlabelled"
    }
    return splits if "train" in splits.values() and len(said) > 1 else {}


def _shared(names: list[str]) -> str:
    """What all names begin with, up to the last sign between words."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    found = re.match(r".*[\W_]", "".join(letters[0] for letters in same))
    return found[0] if found else ""


def _splits_within(places: set[Place]) -> dict[str, Split]:
    """The splits that the classes are divided into, `cat/train/` beside `cat/test/`, where all photos lie in such."""
    if any(len(place) < 2 for place in places):
        return {}
    names = {place[1] for place in places}
    splits = _splits(sorted(names), names)
    return splits if names == splits.keys() else {}


def _refuse_splits(files: Files, below: dict[str, Place]) -> None:
    """Refuse folders that are called as splits and hold no class folders, such as those of Kaggle's competitions."""
    folders = sorted({place[0] for place in below.values() if place})
    if len(folders) > 1 and all(kind_of(folder) for folder in folders):
        raise DatasetError(
            f"{files.path}: {listed(folders, 5)} are splits, but the photos in them lie in no class folders. If their "
            "labels stand in a CSV: --labels FILE.csv. If in their names, as in cat.0.jpg: --labels names."
        )


def _refuse_alike(files: Files, below: dict[str, Place]) -> None:
    """Refuse folders that all hold folders of the same names, or some of them: these would be the classes."""
    inner: defaultdict[str, set[str]] = defaultdict(set)
    for place in below.values():
        if place:
            inner[place[0]] |= set(place[1:2])
    names = max(inner.values(), key=len, default=set())
    if len(inner) > 1 and all(len(some) > 1 and some <= names for some in inner.values()):
        raise DatasetError(
            f"{files.path}: {listed(sorted(inner), 5)} all hold the same folders ({listed(sorted(names), 5)}), which "
            "look like the classes. If they are splits, call them train, val and test; if they are parts of one data "
            "set, name them one by one: --data PART --data PART. If they are the classes: --data NAME=PART for each."
        )


def _classes(found: dict[str, tuple[str, Split | None]]) -> tuple[dict[str, str], list[str]]:
    """What each folder's class is called, and what is to be said of it: "cat" in test/ is the "Cat" of train/."""
    folders = list(dict.fromkeys(label for label, _ in found.values()))
    names = {folder: composed(folder) for folder in folders}
    twice = [name for name, times in Counter(names.values()).items() if times > 1]
    notes = [f"Several folders are called {name}, written in different ways: they are one class." for name in twice]
    trained = list(dict.fromkeys(names[label] for label, split in found.values() if split in ("train", None)))
    others = [name for name in dict.fromkeys(names.values()) if name not in trained]
    same = matched(others, trained)
    notes += [f"{other} is taken for the class {one}." for other, one in same.items()]
    return {folder: same.get(name, name) for folder, name in names.items()}, notes


def _all_of(splits: dict[str, Split]) -> str:
    *most, last = (f"{folder}/" for folder in splits)
    return f"{', '.join(most)} and {last}" if most else last
