"""Photos whose labels stand in their names: ``cat.0.jpg``, ``great_pyrenees_12.jpg``, ``7_soup.png``."""

import re
from pathlib import PurePosixPath

from foodscene.models.decoding.names import PHOTOS
from foodscene.training.datasets.dataset import Dataset, Sample, Split
from foodscene.training.datasets.files import DatasetError, Files
from foodscene.training.datasets.names import composed, listed
from foodscene.training.datasets.split_names import split_of

_WORDNET = re.compile(r"n\d{8}(?=[\W_])")
"""ImageNet's names of classes, which are numbers."""
_IDENTITY = r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[a-f]*\d)[0-9a-f]{8,})"
_FEW = 10
"""Photos of which each may be the only one of its label."""
_BEFORE = re.compile(r"^(?:(?:\d+|img|image|dsc[fn]?|photo|pict?|picture|frame)[\W_]+)+(?=.*[^\W\d_])", re.IGNORECASE)
"""A number, or what cameras call all photos, where a word follows."""
_AFTER = re.compile(rf"(?:[\W_]+(?:{_IDENTITY}|\d+x\d+|copy|kopie|copie|copia)|[\W_]*\d+)+[\W_]*$", re.IGNORECASE)
"""Numbers, sizes, hashes, and what systems add to copies."""


def read(files: Files, name: str) -> Dataset:
    """The data set in `files`: a photo's label is its name without the numbers before and after it.

    Photos whose names are numbers alone have no label. Folders called as splits are such. Raises `DatasetError` where
    fewer than two labels are found, or each photo has one of its own.
    """
    labels = {photo: _label(PurePosixPath(photo).name) for photo in files.photos()}
    classes = tuple(sorted({label for label in labels.values() if label}))
    labelled = sum(bool(label) for label in labels.values())
    if len(classes) < 2 or (len(classes) == labelled and labelled > _FEW):
        found = f"as many as photos: {listed(classes, 5)}" if len(classes) > 1 else listed(classes) or "none"
        raise DatasetError(
            f"{files.path}: the photos' names tell no two classes apart; found: {found}. "
            "A name is a label and a number: cat.0.jpg, rice_12.jpg."
        )
    splits = {photo: _split(photo) for photo, label in labels.items() if label}
    known = {split for split in splits.values() if split}
    without = len(labels) - labelled
    return Dataset(
        name,
        "names",
        classes,
        [
            Sample(
                files,
                photo,
                photo,
                classes.index(label) if label else None,
                splits.get(photo) if len(known) > 1 else None,
            )
            for photo, label in labels.items()
        ],
        notes=(f"{without:,} photos have no label in their names.",) if without else (),
    )


def _label(name: str) -> str:
    """What a photo's name says of it: "cat" of `IMG_cat-3.jpg`."""
    stem = name
    while PurePosixPath(stem).suffix.lower() in PHOTOS or "?" in PurePosixPath(stem).suffix:
        stem = PurePosixPath(stem).stem  # .jpg.jpg, .jpg?w=200
    if stem == name:
        stem = PurePosixPath(name).stem
    if found := _WORDNET.match(stem):
        return found[0]
    return composed(_AFTER.sub("", _BEFORE.sub("", stem)))


def _split(photo: str) -> Split | None:
    """The split that one of a photo's folders says."""
    return next((split for part in PurePosixPath(photo).parts[:-1] if (split := split_of(part))), None)
