"""Food-101: ``images/<class>/<id>.jpg``, and the archive's own lists of training and test photos in ``meta``.

Kaggle's copies have ``meta/meta/``, or lists whose lines are whole paths, with their endings.
"""

from pathlib import PurePosixPath

from foodscene.models.decoding.names import PHOTOS
from foodscene.training.datasets.dataset import Dataset, Sample, Split
from foodscene.training.datasets.files import Files
from foodscene.training.datasets.names import listed

NEEDS = "images/<class>/ beside meta/train.txt and meta/test.txt"


def read(files: Files, name: str) -> Dataset | None:
    """The data set in `files`, or None where they are laid out otherwise. Photos in neither list are left out."""
    lists = [
        path
        for path in map(PurePosixPath, files.entries)
        if path.name.lower() == "train.txt" and path.parent.name.lower() == "meta"
    ]
    if not lists:
        return None
    meta = lists[0].parent
    top = meta.parent.parent if meta.parent.name.lower() == "meta" else meta.parent  # Kaggle's copy has meta/meta/
    splits: dict[str, Split] = {}
    own: tuple[Split, Split] = ("train", "test")
    for split in own:
        listing = files.find(str(meta / f"{split}.txt"))
        if listing is None:
            return None
        splits |= dict.fromkeys((_key(line) for line in files.text(listing).splitlines() if line.strip()), split)
    images = top / "images"
    found: list[tuple[str, str, Split, str]] = []
    for photo in files.photos():
        path = PurePosixPath(photo)
        key = _key(photo) if path.is_relative_to(images) else ""
        if key in splits:
            found.append((photo, path.parent.name, splits[key], key))
    classes = tuple(sorted({label for _, label, *_ in found}))
    if not classes:
        return None
    missing = splits.keys() - {key for *_, key in found}
    return Dataset(
        name,
        "food101",
        classes,
        [
            Sample(files, photo, photo, classes.index(label), split, key=f"food101/{key}")
            for photo, label, split, key in found
        ],
        notes=(f"{len(missing):,} photos are listed and not there: {listed(sorted(missing), 3)}.",) if missing else (),
    )


def _key(photo: str) -> str:
    """What the lists call a photo: its class and its id."""
    path = PurePosixPath(photo.strip().replace("\\", "/"))
    return f"{path.parent.name}/{path.stem if path.suffix.lower() in PHOTOS else path.name}"
