"""Photos whose labels stand in a CSV: a line for each, with its file and its label, and perhaps its split."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from foodscene.training.datasets.dataset import Dataset, Sample, Split
from foodscene.training.datasets.files import DatasetError, Files, decoded
from foodscene.training.datasets.names import composed, listed
from foodscene.training.datasets.split_names import split_of

_FILE = (
    "path",
    "filepath",
    "file",
    "filename",
    "image",
    "imageid",
    "imagepath",
    "imagename",
    "img",
    "photo",
    "name",
    "id",
)
_LABEL = ("label", "labels", "class", "classname", "category", "target", "tag", "breed", "species", "dish", "y")
_SPLIT = ("split", "set", "subset", "partition", "fold", "dataset")

Row = list[str]


def read(files: Files, name: str, source: str) -> Dataset:
    """The data set in `files`, its labels in `source`: a CSV on the disk, or one of the files.

    The columns are told by their headings, or are the file and its label; a column of 0 and 1 for each class is read,
    too. Raises `DatasetError` where there is no such file, it has no photo of the data set, or labels of one class.
    """
    text, where = _text(files, source)
    heading, rows = _rows(text, source)
    photos = _Photos(files)
    file_column = _file_column(heading, rows, photos, where)
    labels = _labels(heading, rows, file_column, source)
    split_column = _said(heading, _SPLIT)
    found: dict[str, tuple[str, Split | None]] = {}
    missing = []
    for row, label in zip(rows, labels, strict=True):
        photo = photos.find(row[file_column], where)
        if photo is None:
            missing.append(row[file_column])
        elif label:
            said = split_of(row[split_column]) if split_column is not None and split_column < len(row) else None
            found[photo] = (label, said)
    classes = _in_order({label for label, _ in found.values()})
    if not found:
        raise DatasetError(
            f"{source}: none of its lines names a photo of {files.path}; the first says {listed(rows[0], 3)}."
        )
    if len(classes) < 2:
        raise DatasetError(f"{source}: all of its photos have the label {classes[0]}: two classes are needed.")
    notes = [f"{source}: no such photos, left out: {listed(missing, 3)}."] if missing else []
    unlabelled = len(photos.names) - len(found)
    if unlabelled:
        notes.append(f"{unlabelled:,} photos have no label in {source}: left out.")
    return Dataset(
        name,
        "csv",
        classes,
        [Sample(files, photo, photo, classes.index(label), own) for photo, (label, own) in sorted(found.items())],
        notes=tuple(notes),
    )


class _Photos:
    """The photos of a data set, found by whatever a table calls them."""

    def __init__(self, files: Files) -> None:
        self.names = files.photos()
        self._whole = set(self.names)
        self._short: dict[str, str | None] = {}
        for photo in self.names:
            path = PurePosixPath(photo)
            for short in {path.name, path.stem, str(path.with_suffix(""))} - self._whole:
                self._short[short] = None if short in self._short else photo

    def find(self, said: str, where: PurePosixPath) -> str | None:
        """The photo of a name: from the top or from the table's folder, with its folders or not, with its ending or
        not; None where it is none or several.
        """
        said = composed(said).replace("\\", "/").removeprefix("./")
        for candidate in (said, str(where / said)):
            if candidate in self._whole:
                return candidate
        return self._short.get(said) or self._short.get(PurePosixPath(said).name)


def _text(files: Files, source: str) -> tuple[str, PurePosixPath]:
    """The table, and its folder among the files."""
    path = Path(source).expanduser()
    if path.is_file():
        base = files.path.resolve()
        inside = path.resolve().is_relative_to(base) and base.is_dir()
        return decoded(path.read_bytes()), PurePosixPath(path.resolve().parent.relative_to(base) if inside else ".")
    matches = [name for name in files.entries if PurePosixPath(name).match(source)]
    if len(matches) != 1:
        problem = f"several: {listed(matches, 3)}" if matches else "none, on the disk or in the data set"
        raise DatasetError(f"--labels {source}: of such files there are {problem}. Give a CSV, or names.")
    return files.text(matches[0]), PurePosixPath(matches[0]).parent


def _rows(text: str, source: str) -> tuple[Row, list[Row]]:
    """The heading, empty where there is none, and the other lines."""
    try:
        dialect: type[csv.Dialect] | str = csv.Sniffer().sniff(text[:10_000], ",;\t|")
    except csv.Error:
        dialect = "excel"
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text), dialect, skipinitialspace=True) if any(map(str.strip, row))
        ]
    except csv.Error as error:
        raise DatasetError(f"{source} is no CSV: {error}.") from None
    if len(rows) < 2 or min(map(len, rows)) < 2:
        raise DatasetError(f"{source} is no CSV with two columns in every line, a photo's file and its label.")
    heading = [_word(cell) for cell in rows[0]]
    if set(heading) & {*_FILE, *_LABEL}:
        return rows[0], rows[1:]
    return [], rows


def _file_column(heading: Row, rows: Sequence[Row], photos: _Photos, where: PurePosixPath) -> int:
    """The column that names photos, in most of the first lines."""
    columns = range(min(len(row) for row in rows))
    hits = {column: sum(photos.find(row[column], where) is not None for row in rows[:50]) for column in columns}
    said = _said(heading, _FILE)
    return said if said is not None and hits.get(said) else max(columns, key=lambda column: (hits[column], -column))


def _labels(heading: Row, rows: Sequence[Row], file_column: int, source: str) -> list[str]:
    """The label of each line; empty where it has none."""
    said = _said(heading, _LABEL)
    others = [column for column in range(len(rows[0])) if column not in (file_column, _said(heading, _SPLIT))]
    if said is None and heading and len(others) > 1 and all(_one_of(row, others) is not None for row in rows):
        return [composed(heading[_one_of(row, others) or 0]) for row in rows]
    if said is None and not others:
        raise DatasetError(f"{source} has no column of labels beside the photos' files.")
    column = said if said is not None else others[0]
    return [composed(row[column]) if column < len(row) else "" for row in rows]


def _one_of(row: Row, columns: Sequence[int]) -> int | None:
    """The column that holds 1 where all others hold 0; None where they hold other things."""
    cells = [row[column].strip() if column < len(row) else "" for column in columns]
    if not set(cells) <= {"0", "1", "0.0", "1.0"} or sum(map(float, cells)) != 1:
        return None
    return columns[[float(cell) for cell in cells].index(1)]


def _said(heading: Row, words: Sequence[str]) -> int | None:
    """The column whose heading is one of these, the first of them that there is."""
    cells = [_word(cell) for cell in heading]
    return next((cells.index(word) for word in words if word in cells), None)


def _word(cell: str) -> str:
    """A heading without case and signs: `Image_ID` is imageid."""
    return "".join(sign for sign in cell.casefold() if sign.isalnum())


def _in_order(labels: set[str]) -> tuple[str, ...]:
    """By name; numbers as such."""
    return tuple(sorted(labels, key=int) if all(label.isdecimal() for label in labels) else sorted(labels))
