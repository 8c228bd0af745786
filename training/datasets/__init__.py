"""Data sets as they are downloaded: one adapter per layout, and one call that finds the right one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from foodscene.training.datasets import folder, food101, idx, in_names, intel, table, uecfood256
from foodscene.training.datasets.archives import open_files
from foodscene.training.datasets.dataset import Dataset, Sample, Split, renamed, union
from foodscene.training.datasets.files import DatasetError, Files
from foodscene.training.datasets.names import listed, plain

__all__ = ["LAYOUTS", "Dataset", "DatasetError", "Sample", "Split", "labelled", "open_dataset", "renamed", "union"]

LAYOUTS: dict[str, tuple[Callable[[Files, str], Dataset | None], str]] = {
    "uecfood256": (uecfood256.read, uecfood256.NEEDS),
    "uecfood100": (uecfood256.read, uecfood256.NEEDS),
    "idx": (idx.read, idx.NEEDS),
    "food101": (food101.read, food101.NEEDS),
    "intel": (intel.read, intel.NEEDS),
    "folder": (folder.read, folder.NEEDS),
}
"""How each layout is read and what it needs, in the order in which they are tried."""
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")


def open_dataset(path: Path, layout: str | None = None, labels: str | None = None) -> Dataset:
    """The data set in a folder or an archive, its layout found or as named. Raises `DatasetError`.

    `labels` says where the labels are, if not in folders: a CSV file, or "names" for those of the photos.
    `food=photos.zip` makes one class of all photos in `photos.zip`, to be told from those of another data set.
    """
    label, path = labelled(path)
    if label:
        return open_dataset(path, layout, labels).as_class(label)
    if layout is not None and layout not in LAYOUTS:
        raise DatasetError(f"There is no layout {layout!r}. Known are {', '.join(LAYOUTS)}.")
    files = open_files(path)
    name = path.resolve().name if path.is_dir() else path.name.partition(".")[0]
    if labels:
        found = in_names.read(files, name) if labels == "names" else table.read(files, name, labels)
        return _noting(files, found)
    tried = [layout] if layout else list(LAYOUTS)
    for candidate in tried:
        if dataset := LAYOUTS[candidate][0](files, name):
            return _noting(files, dataset)
    looked_for = "\n".join(f"  {candidate}: {LAYOUTS[candidate][1]}" for candidate in tried)
    flat = sum("/" not in photo for photo in files.photos())
    likely = (
        f"{path} holds {flat:,} photos side by side: move those of each class to a folder of its own, as in cats/1.jpg "
        "and dogs/1.jpg.\n"
    )
    inner = [name for name in files.entries if name.lower().endswith(_ARCHIVES)]
    unpack = f"There are archives in it, which are not looked into: {listed(inner, 3)}. Unpack them.\n"
    raise DatasetError(
        f"{likely if flat and not layout else ''}{unpack if inner else ''}"
        "If the labels stand in a CSV: --labels FILE.csv. If in the photos' names, as in cat.0.jpg: --labels names.\n"
        f"{path} has none of the layouts that were looked for:\n{looked_for}"
    )


def _noting(files: Files, dataset: Dataset) -> Dataset:
    """The data set with all that is to be said of its files and classes."""
    return replace(dataset, notes=(*files.notes, *_unread(files), *dataset.notes, *_alike(dataset.classes)))


def _alike(classes: Sequence[str]) -> Iterator[str]:
    """Classes that nobody would tell apart by their names."""
    groups: dict[str, list[str]] = {}
    for label in classes:
        groups.setdefault(plain(label), []).append(label)
    for labels in groups.values():
        if len(labels) > 1:
            yield (
                f"{' and '.join(labels)} are classes of their own, though their names differ in case or blanks alone. "
                "If they are one class, give their photos one name."
            )


def _unread(files: Files) -> Iterator[str]:
    if pictures := files.unread():
        yield f"{len(pictures):,} pictures are of formats that are not read, left out: {listed(pictures, 3)}."


def labelled(path: Path) -> tuple[str, Path]:
    """The class that stands before a path, `food=photos.zip`, and the path by itself; "" where there is none."""
    label, separator, rest = str(path).partition("=")
    return (label, Path(rest)) if separator and not path.exists() else ("", path)
