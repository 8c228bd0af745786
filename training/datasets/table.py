"""Photos whose labels stand in a CSV: a line for each, with its file and its label, and perhaps its split."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from posixpath import splitext

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
_LABEL = (
    "label",
    "labels",
    "class",
    "classname",
    "labelname",
    "category",
    "categoryname",
    "target",
    "tag",
    "breed",
    "species",
    "dish",
    "y",
)
_SPLIT = ("split", "set", "subset", "partition", "fold", "dataset")
_ONE_SPLIT: dict[str, Split] = {
    **dict.fromkeys(("isvalid", "isval", "isvalidation"), "validation"),
    **dict.fromkeys(("istest", "isevaluation"), "test"),
}
"""Headings of columns that say whether a photo is one of these, or else of those to train on."""
_YES, _NO = {"1", "1.0", "true"}, {"0", "0.0", "false"}

Row = list[str]


def read(files: Files, name: str, source: str) -> Dataset:
    """The data set in `files`, its labels in `source`: a CSV on the disk, or one of the files.

    The columns are told by their headings, or are the file and its label; a column of 0 and 1 for each class is read,
    too. Raises `DatasetError` where there is no such file, it has no photo of the data set, labels of one class, or
    where nobody can tell which column holds them.
    """
    text, where = _text(files, source)
    heading, rows, notes = _rows(text, source)
    photos = _Photos(files)
    file_column = _file_column(heading, rows, photos, where)
    if not heading and photos.find(rows[0][file_column], where) is None:
        heading, *rows = rows  # in words of its own
    labels = _labels(heading, rows, file_column, source)
    splits, unknown = _splits(heading, rows)
    said = [row[file_column] for row in rows]
    found, missing, contradicting = _matched([photos.find(one, where) for one in said], labels, splits)
    classes = _in_order({label for label, _ in found.values()})
    if not found:
        raise DatasetError(
            f"{source}: none of its lines names a photo of {files.path}; the first says {listed(rows[0], 3)}."
        )
    if len(classes) < 2:
        raise DatasetError(f"{source}: all of its photos have the label {classes[0]}: two classes are needed.")
    told = {
        "no such photos, left out": [said[line] for line in missing],
        "several labels for a photo, left out": contradicting,
        "parts that are none of train, validation and test, passed over": unknown,
        "spelled otherwise than the photos are called": photos.loosely,
    }
    notes += [f"{source}: {what}: {listed(which, 3)}." for what, which in told.items() if which]
    if unlabelled := len(photos.names) - len(found):
        notes.append(f"{unlabelled:,} photos have no label in {source}: left out.")
    return Dataset(
        name,
        "csv",
        classes,
        [Sample(files, photo, photo, classes.index(label), own) for photo, (label, own) in sorted(found.items())],
        notes=tuple(notes),
    )


def _matched(
    photos: Sequence[str | None], labels: Sequence[str], splits: Sequence[Split | None]
) -> tuple[dict[str, tuple[str, Split | None]], list[int], list[str]]:
    """Label and split of each photo, the lines that name none, and the photos of several labels, left out."""
    found: dict[str, tuple[str, Split | None]] = {}
    contradicting = set()
    for photo, label, split in zip(photos, labels, splits, strict=True):
        if photo is not None and label and found.setdefault(photo, (label, split))[0] != label:
            contradicting.add(photo)
    for photo in contradicting:
        del found[photo]
    return found, [line for line, photo in enumerate(photos) if photo is None], sorted(contradicting)


class _Photos:
    """The photos of a data set, found by whatever a table calls them."""

    def __init__(self, files: Files) -> None:
        self.names = files.photos()
        self.loosely: dict[str, str] = {}
        """Photos by the names in another case, with another ending or without zeros that they were found by."""
        self._exact: dict[str, str | None] = {}
        self._loose: dict[str, str | None] = {}
        for photo in self.names:
            for end in _ends(composed(photo)):
                for name in (end, _stem(end)):
                    _note(self._exact, name, photo)
                _note(self._loose, _plain(end), photo)
        self._exact |= {composed(photo): photo for photo in self.names}

    def find(self, said: str, where: PurePosixPath) -> str | None:
        """The photo of a name, from the top or from the table's folder, with more folders or fewer, its ending or not.

        Else the only one that differs in case, ending or zeros before a number alone. None for none or several.
        """
        said = composed(said).replace("\\", "/").removeprefix("./")
        names = [said, said.partition("?")[0]]  # an address may have a query
        for candidate in (str(where / said), *(end for name in names for end in _ends(name))):
            if photo := self._exact.get(candidate):
                return photo
        photo = next((photo for end in _ends(names[1]) if (photo := self._loose.get(_plain(end)))), None)
        if photo:
            self.loosely[said] = photo
        return photo


def _note(photos: dict[str, str | None], name: str, photo: str) -> None:
    """Keep the photo of a name; None where there are several."""
    photos[name] = photo if photos.get(name, photo) == photo else None


def _ends(path: str) -> Iterator[str]:
    """A path with fewer and fewer of its folders: `a/b/c`, `b/c`, `c`."""
    yield path
    while "/" in path:
        path = path.partition("/")[2]
        yield path


def _stem(path: str) -> str:
    return splitext(path)[0]


def _plain(path: str) -> str:
    """A photo's path without case and ending; of a number, without the zeros before it, which spreadsheets drop."""
    folder, _, name = _stem(path).casefold().rpartition("/")
    return f"{folder}/{int(name) if name.isdecimal() else name}"


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


def _rows(text: str, source: str) -> tuple[Row, list[Row], list[str]]:
    """The heading, empty where there is none, the other lines, and what is to be said of them."""
    lines = [line for line in io.StringIO(text, newline=None) if not line.startswith(("#", "sep="))]  # sep=: of Excel
    text = "".join(lines)
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
    if rows and max(map(len, rows)) == 1 and all(len(row[0].split()) == 2 for row in rows):
        rows = [row[0].split() for row in rows]
    short = [row for row in rows if len(row) < 2]
    rows = [row for row in rows if len(row) > 1]
    if len(rows) < 2 or len(short) > len(rows):
        raise DatasetError(f"{source} is no CSV with two columns in every line, a photo's file and its label.")
    notes = [f"{source}: lines of one column, left out: {listed((row[0] for row in short), 3)}."] if short else []
    heading = [_word(cell) for cell in rows[0]]
    if set(heading) & {*_FILE, *_LABEL}:
        return rows[0], rows[1:], notes
    return [], rows, notes


def _file_column(heading: Row, rows: Sequence[Row], photos: _Photos, where: PurePosixPath) -> int:
    """The column that names photos, in most of the first lines."""
    columns = range(min(len(row) for row in rows))
    hits = {column: sum(photos.find(row[column], where) is not None for row in rows[:50]) for column in columns}
    photos.loosely.clear()
    said = _said(heading, _FILE)
    return said if said is not None and hits.get(said) else max(columns, key=lambda column: (hits[column], -column))


def _labels(heading: Row, rows: Sequence[Row], file_column: int, source: str) -> list[str]:
    """The label of each line; empty where it has none."""
    said = _said(heading, _LABEL)
    others = [
        column
        for column in range(len(rows[0]))
        if column not in (file_column, _said(heading, (*_SPLIT, *_ONE_SPLIT)))
        and any(_cell(row, column) for row in rows)
    ]
    if said is None and len(others) > 1 and all(_flags(row, others) for row in rows[bool(not heading) :]):
        several = [row for row in rows if sum(_cell(row, column).lower() in _YES for column in others) != 1]
        if several or not heading:
            raise DatasetError(
                f"{source}: a photo has one label; with a column of 0 and 1 for each class, one of them is 1, and the "
                f"first line says which classes. Not so: {listed((several or rows)[0], 5)}."
            )
        return [composed(heading[_one_of(row, others)]) for row in rows]
    if said is None and not others:
        raise DatasetError(f"{source} has no column of labels beside the photos' files.")
    if said is None and len(others) > 1:
        cells = listed(((heading or rows[0])[column] for column in others), 5)
        raise DatasetError(
            f"{source}: which column has the labels? There are {cells}. Call it label in the first line."
        )
    column = said if said is not None else others[0]
    return [composed(_cell(row, column)) for row in rows]


def _splits(heading: Row, rows: Sequence[Row]) -> tuple[list[Split | None], list[str]]:
    """The split that each line says, and what else stands in that column, where no line says any."""
    column = _said(heading, _SPLIT)
    if column is None:
        column = _said(heading, tuple(_ONE_SPLIT))
        if column is None or not all(_flags(row, [column]) for row in rows):
            return [None] * len(rows), []
        one = _ONE_SPLIT[_word(heading[column])]
        return [one if _cell(row, column).lower() in _YES else "train" for row in rows], []
    said = [_cell(row, column) for row in rows]
    splits = [split_of(one) for one in said]
    return splits, [] if any(splits) else sorted({one for one in said if one})


def _cell(row: Row, column: int) -> str:
    return row[column].strip() if column < len(row) else ""


def _flags(row: Row, columns: Sequence[int]) -> bool:
    """Whether a line says yes or no in all of these columns."""
    return {_cell(row, column).lower() for column in columns} <= _YES | _NO


def _one_of(row: Row, columns: Sequence[int]) -> int:
    """The first of these columns that says yes."""
    return next(column for column in columns if _cell(row, column).lower() in _YES)


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
