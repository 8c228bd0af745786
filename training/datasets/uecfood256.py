"""UECFOOD-256 and UECFOOD-100: a folder per category id, names in ``category.txt``, boxes in each ``bb_info.txt``.

Ids are numbers with gaps and in no order that text would sort them in: `2` comes before `10`. Two categories of
UECFOOD-256 are called "omelet": 40 and 67.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from foodscene.models.pixels import Box
from foodscene.training.datasets.dataset import Dataset, Sample
from foodscene.training.datasets.files import DatasetError, Files
from foodscene.training.datasets.names import composed, listed, unique

NEEDS = "category.txt beside a folder of photos per category id"


def read(files: Files, name: str) -> Dataset | None:
    """The data set in `files`, or None where they are laid out otherwise. Classes are in the order of their ids.

    Categories of one name have their ids in their labels. Lines that cannot be understood are left out, and told in the
    data set's notes. Raises `DatasetError` where ``category.txt`` does not name a category that has photos.
    """
    lists = [entry for entry in files.entries if PurePosixPath(entry).name.lower() == "category.txt"]
    if not lists:
        return None
    top = PurePosixPath(lists[0]).parent
    categories, notes = _categories(files.text(lists[0]), lists[0])
    photos: dict[int, list[str]] = {}
    for photo in files.photos():
        folder = PurePosixPath(photo).parent
        if folder.parent == top and folder.name.isdecimal():
            photos.setdefault(int(folder.name), []).append(photo)
    if not photos:
        return None
    if unnamed := sorted(photos.keys() - categories.keys()):
        raise DatasetError(
            f"{files.path}: {lists[0]} names no category {unnamed[0]}, but there is a folder of photos of it."
        )
    ids = sorted(photos)
    labels = unique({category: categories[category] for category in ids})
    if changed := [labels[category] for category in ids if labels[category] != categories[category]]:
        notes.append(f"Categories that share a name have their ids in their labels: {listed(changed)}.")
    samples: list[Sample] = []
    odd: list[str] = []
    missing: list[str] = []
    for label, category in enumerate(ids):
        boxes = _boxes_of(files, photos[category], odd, missing)
        samples += [
            Sample(files, photo, photo, label, boxes=tuple(boxes.get(PurePosixPath(photo).stem, ())))
            for photo in sorted(photos[category], key=_numeric)
        ]
    notes += _told(odd, missing, _in_several(files, samples))
    return Dataset(
        name, _layout(len(categories)), tuple(labels[category] for category in ids), samples, notes=tuple(notes)
    )


def _told(odd: Sequence[str], missing: Sequence[str], several: int) -> Iterator[str]:
    """What is to be said of lists of boxes, and of photos in several categories."""
    if odd:
        yield f"No photo with four corners, left out: {listed(odd, 3)}."
    if missing:
        yield f"{len(missing):,} photos have boxes and are not there: {listed(missing, 3)}."
    if several:
        yield (
            f"{several:,} photos lie in the folders of several categories, as there are several dishes on them: each "
            "is one of every category, and all of its copies stay on one side of the split."
        )


def _layout(categories: int) -> str:
    return "uecfood100" if categories == 100 else "uecfood256"


def _categories(text: str, where: str) -> tuple[dict[int, str], list[str]]:
    """Names by id, a line each, parted by tabs, spaces or signs, under a heading or not; and what is none of these."""
    found: dict[int, str] = {}
    odd = []
    for line in text.splitlines():
        match = re.fullmatch(r'\s*(\d+)[\s,;.:]+"?(.*?[^\s"])"?\s*', line)
        if match:
            found[int(match[1])] = composed(match[2])
        elif line.strip() and found and not line.lstrip().startswith("#"):
            odd.append(repr(line.strip()))
    return found, [f"{where}: no id with a name, left out: {listed(odd, 3)}."] if odd else []


def _boxes_of(files: Files, photos: Sequence[str], odd: list[str], missing: list[str]) -> Mapping[str, list[Box]]:
    """The boxes of a category by the photo's name without its ending.

    Lines that are none come into `odd`, photos that are not there into `missing`.
    """
    listing = files.find(str(PurePosixPath(photos[0]).parent / "bb_info.txt"))
    if listing is None:
        return {}
    boxes, lines = _boxes(files.text(listing))
    odd += [f"{line} in {listing}" for line in lines]
    absent = boxes.keys() - {PurePosixPath(photo).stem for photo in photos}
    missing += [str(PurePosixPath(photos[0]).parent / name) for name in sorted(absent)]
    return boxes


def _boxes(text: str) -> tuple[Mapping[str, list[Box]], list[str]]:
    """Boxes by photo, from lines of ``img x1 y1 x2 y2`` in pixels, whatever follows; and the lines that are none."""
    found: defaultdict[str, list[Box]] = defaultdict(list)
    odd = []
    for line in text.splitlines():
        words = line.replace(",", " ").split()
        if not words or not words[0].isdecimal():
            continue
        try:
            left, top, right, bottom = (float(word) for word in words[1:5])
        except ValueError:
            odd.append(repr(line.strip()))
            continue
        if right > left and bottom > top:
            found[words[0]].append((left, top, right, bottom))
    return found, odd


def _in_several(files: Files, samples: Sequence[Sample]) -> int:
    """How many photos lie in more than one category's folder, told by their content."""
    labels: defaultdict[tuple[int, int], set[int | None]] = defaultdict(set)
    for sample in samples:
        labels[files.entries[sample.member]].add(sample.label)
    return sum(len(found) > 1 for found in labels.values())


def _numeric(photo: str) -> tuple[int, str]:
    stem = PurePosixPath(photo).stem
    return (int(stem) if stem.isdecimal() else 0, photo)
