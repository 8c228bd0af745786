"""Food-101: ``images/<class>/<id>.jpg``, and the archive's own lists of training and test photos in ``meta``."""

from pathlib import PurePosixPath

from foodscene.training.datasets.dataset import Dataset, Sample, Split
from foodscene.training.datasets.files import Files

NEEDS = "images/<class>/ beside meta/train.txt and meta/test.txt"


def read(files: Files, name: str) -> Dataset | None:
    """The data set in `files`, or None where they are laid out otherwise. Photos in neither list are left out."""
    lists = [entry for entry in files.entries if PurePosixPath(entry).parts[-2:] == ("meta", "train.txt")]
    if not lists:
        return None
    top = PurePosixPath(lists[0]).parent.parent
    splits: dict[str, Split] = {}
    own: tuple[Split, Split] = ("train", "test")
    for split in own:
        listing = str(top / "meta" / f"{split}.txt")
        if listing not in files.entries:
            return None
        splits |= dict.fromkeys(files.text(listing).split(), split)
    images = top / "images"
    found: list[tuple[str, str, Split]] = []
    for photo in files.photos():
        path = PurePosixPath(photo)
        key = str(path.relative_to(images).with_suffix("")) if path.is_relative_to(images) else ""
        if key in splits:
            found.append((photo, path.parent.name, splits[key]))
    classes = tuple(sorted({label for _, label, _ in found}))
    if not classes:
        return None
    return Dataset(
        name,
        "food101",
        classes,
        [Sample(files, photo, photo, classes.index(label), split) for photo, label, split in found],
    )
