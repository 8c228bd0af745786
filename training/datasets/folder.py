"""Someone's own photos: a folder per class, or ``train``, ``val`` and ``test`` with a folder per class in each.

Classes are called what the folders are called. Where all the names are numbers, they are in numeric order.
"""

from pathlib import PurePosixPath

from foodscene.training.datasets.dataset import Dataset, Sample, Split
from foodscene.training.datasets.files import Files

NEEDS = "a folder of photos per class, by themselves or within train/, val/ and test/"
_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def read(files: Files, name: str) -> Dataset | None:
    """The data set in `files`, or None where no photo lies in a folder."""
    paths = {photo: PurePosixPath(photo).parts for photo in files.photos()}
    depth = 0
    while len({parts[depth] if len(parts) > depth + 1 else None for parts in paths.values()} - {None}) == 1 and any(
        len(parts) > depth + 2 for parts in paths.values()
    ):
        depth += 1  # a folder around everything
    within = {photo: parts[depth:-1] for photo, parts in paths.items() if len(parts) > depth + 1}
    if not within:
        return None
    split = all(parts[0].lower() in _SPLITS for parts in within.values())
    labelled = {
        photo: (parts[1], _SPLITS[parts[0].lower()]) if split else (parts[0], None)
        for photo, parts in within.items()
        if len(parts) > split
    }
    names = {label for label, _ in labelled.values()}
    classes = tuple(sorted(names, key=int) if all(label.isdecimal() for label in names) else sorted(names))
    if not classes:
        return None
    return Dataset(
        name,
        "folder",
        classes,
        [Sample(files, photo, photo, classes.index(label), own) for photo, (label, own) in labelled.items()],
    )
