"""The Intel scenes archive: ``seg_train`` and ``seg_test`` with class folders, ``seg_pred`` without labels.

The published archive doubles each folder (``seg_train/seg_train/<class>/``); with or without that, and below any other.
"""

from pathlib import PurePosixPath

from foodscene.training.datasets.dataset import Dataset, Sample, Split
from foodscene.training.datasets.files import Files

NEEDS = "seg_train/ and seg_test/ with class folders"
_SPLITS: dict[str, Split | None] = {"seg_train": "train", "seg_test": "test", "seg_pred": None}


def read(files: Files, name: str) -> Dataset | None:
    """The data set in `files`, or None where they are laid out otherwise."""
    found: list[tuple[str, str | None, str]] = []
    for photo in files.photos():
        folders = list(PurePosixPath(photo).parts[:-1])
        part = next((folder for folder in folders if folder in _SPLITS), None)
        if part is None:
            continue
        below = folders[folders.index(part) + 1 :]
        if below[:1] == [part]:
            below = below[1:]
        if (part == "seg_pred") == (not below):
            found.append((photo, below[0] if below else None, part))
    classes = tuple(sorted({label for _, label, _ in found if label is not None}))
    if not classes:
        return None
    return Dataset(
        name,
        "intel",
        classes,
        [
            Sample(files, photo, photo, None if label is None else classes.index(label), _SPLITS[part])
            for photo, label, part in found
        ],
    )
