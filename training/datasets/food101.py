"""Food-101: ``images/<class>/<id>.jpg``, and the archive's own lists of training and test photos in ``meta``.

Kaggle's copies have ``meta/meta/``, or lists whose lines end in ``.jpg``.
"""

from pathlib import PurePosixPath

from foodscene.training.datasets.dataset import Dataset, Sample, Split
from foodscene.training.datasets.files import Files

NEEDS = "images/<class>/ beside meta/train.txt and meta/test.txt"


def read(files: Files, name: str) -> Dataset | None:
    """The data set in `files`, or None where they are laid out otherwise. Photos in neither list are left out."""
    lists = [
        path for path in map(PurePosixPath, files.entries) if path.name == "train.txt" and path.parent.name == "meta"
    ]
    if not lists:
        return None
    meta = lists[0].parent
    top = meta.parent.parent if meta.parent.name == "meta" else meta.parent  # Kaggle's copy has meta/meta/
    splits: dict[str, Split] = {}
    own: tuple[Split, Split] = ("train", "test")
    for split in own:
        listing = str(meta / f"{split}.txt")
        if listing not in files.entries:
            return None
        splits |= dict.fromkeys((line.strip().removesuffix(".jpg") for line in files.text(listing).splitlines()), split)
    images = top / "images"
    found: list[tuple[str, str, Split, str]] = []
    for photo in files.photos():
        path = PurePosixPath(photo)
        key = f"{path.parent.name}/{path.stem}" if path.is_relative_to(images) else ""
        if key in splits:
            found.append((photo, path.parent.name, splits[key], key))
    classes = tuple(sorted({label for _, label, *_ in found}))
    if not classes:
        return None
    return Dataset(
        name,
        "food101",
        classes,
        [
            Sample(files, photo, photo, classes.index(label), split, key=f"food101/{key}")
            for photo, label, split, key in found
        ],
    )
