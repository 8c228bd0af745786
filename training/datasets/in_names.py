"""Photos whose labels stand in their names: ``cat.0.jpg``, ``great_pyrenees_12.jpg``, ``rice (3).png``."""

import re
from pathlib import PurePosixPath

from foodscene.training.datasets.dataset import Dataset, Sample, Split
from foodscene.training.datasets.files import DatasetError, Files
from foodscene.training.datasets.names import composed, listed
from foodscene.training.datasets.split_names import split_of

_NUMBER = re.compile(r"(?:[\W_]*\d+)+[\W_]*$")


def read(files: Files, name: str) -> Dataset:
    """The data set in `files`: a photo's label is its name up to the number at its end.

    Photos whose names are numbers alone have no label. Folders called as splits are such. Raises `DatasetError` where
    fewer than two labels are found.
    """
    labels = {photo: composed(_NUMBER.sub("", PurePosixPath(photo).stem)) for photo in files.photos()}
    classes = tuple(sorted({label for label in labels.values() if label}))
    if len(classes) < 2:
        raise DatasetError(
            f"{files.path}: the photos' names tell no two classes apart; found: {listed(classes) or 'none'}. "
            "A name is a label and a number: cat.0.jpg, rice_12.jpg."
        )
    splits = {photo: _split(photo) for photo, label in labels.items() if label}
    known = {split for split in splits.values() if split}
    without = sum(not label for label in labels.values())
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


def _split(photo: str) -> Split | None:
    """The split that one of a photo's folders says."""
    return next((split for part in PurePosixPath(photo).parts[:-1] if (split := split_of(part))), None)
