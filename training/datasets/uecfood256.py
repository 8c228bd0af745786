"""UECFOOD-256 and UECFOOD-100: a folder per category id, names in ``category.txt``, boxes in each ``bb_info.txt``.

Ids are numbers with gaps and in no order that text would sort them in: `2` comes before `10`.
"""

import re
from pathlib import PurePosixPath

from foodscene.models.pixels import Box
from foodscene.training.datasets.dataset import Dataset, Sample
from foodscene.training.datasets.files import DatasetError, Files

NEEDS = "category.txt beside a folder of photos per category id"


def read(files: Files, name: str) -> Dataset | None:
    """The data set in `files`, or None where they are laid out otherwise. Classes are in the order of their ids.

    Raises `DatasetError` where ``category.txt`` or a ``bb_info.txt`` cannot be understood.
    """
    lists = [entry for entry in files.entries if PurePosixPath(entry).name == "category.txt"]
    if not lists:
        return None
    top = PurePosixPath(lists[0]).parent
    categories = _categories(files.text(lists[0]), lists[0])
    photos: dict[int, list[str]] = {}
    for photo in files.photos():
        folder = PurePosixPath(photo).parent
        if folder.parent == top and folder.name.isdecimal():
            photos.setdefault(int(folder.name), []).append(photo)
    if unnamed := sorted(photos.keys() - categories.keys()):
        raise DatasetError(
            f"{files.path}: {lists[0]} names no category {unnamed[0]}, but there is a folder of photos of it."
        )
    ids = sorted(photos)
    samples = []
    for label, category in enumerate(ids):
        listing = str(PurePosixPath(photos[category][0]).parent / "bb_info.txt")
        boxes = _boxes(files.text(listing), listing) if listing in files.entries else {}
        samples += [
            Sample(files, photo, photo, label, boxes=tuple(boxes.get(PurePosixPath(photo).stem, ())))
            for photo in sorted(photos[category], key=_numeric)
        ]
    return (
        Dataset(name, _layout(len(categories)), tuple(categories[category] for category in ids), samples)
        if ids
        else None
    )


def _layout(categories: int) -> str:
    return "uecfood100" if categories == 100 else "uecfood256"


def _categories(text: str, where: str) -> dict[int, str]:
    """Names by id: a line each, parted by tabs or spaces, under a heading or not."""
    found: dict[int, str] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"\s*(\d+)[\s,;]+(.*\S)\s*", line)
        if match:
            found[int(match[1])] = match[2]
        elif line.strip() and found:
            raise DatasetError(f"{where}: the line {line!r} is no id with a name.")
    return found


def _boxes(text: str, where: str) -> dict[str, list[Box]]:
    """Boxes by the photo's name without its ending: lines of ``img x1 y1 x2 y2`` in pixels."""
    found: dict[str, list[Box]] = {}
    for line in text.splitlines():
        words = line.split()
        if not words or not words[0].isdecimal():
            continue
        try:
            left, top, right, bottom = (float(word) for word in words[1:])
        except ValueError:
            raise DatasetError(f"{where}: the line {line!r} is no photo with four corners.") from None
        if right > left and bottom > top:
            found.setdefault(words[0], []).append((left, top, right, bottom))
    return found


def _numeric(photo: str) -> tuple[int, str]:
    stem = PurePosixPath(photo).stem
    return (int(stem) if stem.isdecimal() else 0, photo)
