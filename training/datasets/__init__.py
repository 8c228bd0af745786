"""Data sets as they are downloaded: one adapter per layout, and one call that finds the right one."""

from collections.abc import Callable
from pathlib import Path

from foodscene.training.datasets import folder, food101, idx, intel, uecfood256
from foodscene.training.datasets.archives import open_files
from foodscene.training.datasets.dataset import Dataset, Sample, Split, union
from foodscene.training.datasets.files import DatasetError, Files

__all__ = ["LAYOUTS", "Dataset", "DatasetError", "Sample", "Split", "labelled", "open_dataset", "union"]

LAYOUTS: dict[str, tuple[Callable[[Files, str], Dataset | None], str]] = {
    "uecfood256": (uecfood256.read, uecfood256.NEEDS),
    "uecfood100": (uecfood256.read, uecfood256.NEEDS),
    "idx": (idx.read, idx.NEEDS),
    "food101": (food101.read, food101.NEEDS),
    "intel": (intel.read, intel.NEEDS),
    "folder": (folder.read, folder.NEEDS),
}
"""How each layout is read and what it needs, in the order in which they are tried."""


def open_dataset(path: Path, layout: str | None = None) -> Dataset:
    """The data set in a folder or an archive, its layout found or as named. Raises `DatasetError`.

    `food=photos.zip` makes one class of all photos in `photos.zip`, to be told from those of another data set.
    """
    label, path = labelled(path)
    if label:
        return open_dataset(path, layout).as_class(label)
    if layout is not None and layout not in LAYOUTS:
        raise DatasetError(f"There is no layout {layout!r}. Known are {', '.join(LAYOUTS)}.")
    files = open_files(path)
    name = path.resolve().name if path.is_dir() else path.name.partition(".")[0]
    tried = [layout] if layout else list(LAYOUTS)
    for candidate in tried:
        if dataset := LAYOUTS[candidate][0](files, name):
            return dataset
    looked_for = "\n".join(f"  {candidate}: {LAYOUTS[candidate][1]}" for candidate in tried)
    raise DatasetError(f"{path} has none of the layouts that were looked for:\n{looked_for}")


def labelled(path: Path) -> tuple[str, Path]:
    """The class that stands before a path, `food=photos.zip`, and the path by itself; "" where there is none."""
    label, separator, rest = str(path).partition("=")
    return (label, Path(rest)) if separator and not path.exists() else ("", path)
