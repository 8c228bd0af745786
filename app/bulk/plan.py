"""What is to be done: every photo, and every archive of photos that can only be read from its begin, in order.

A plan is made once and kept beside the output, so that a job that goes on another day does what it began.
"""

import codecs
import csv
import io
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Literal, NamedTuple, cast
from urllib.parse import urlsplit

from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.parquet import PATH_COLUMNS, open_table
from foodscene.app.bulk.storage import Storage, storage_of
from foodscene.models.decoding.names import PHOTOS, hidden

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ZIPS = (".zip",)
TABLES = (".parquet",)
LISTS = (".txt", ".csv")
"""What the names of archives, tables of photos and lists of paths end with."""

_SEVERAL = (*TARS, *ZIPS, *TABLES)
_INSIDE = re.compile(r"(.*?\.(?:zip|tar|tar\.gz|tgz|tar\.bz2|tar\.xz))/(.+)", re.IGNORECASE)
_MAGIC = re.compile(r"[*?[]")
_MOST_LINE = 1 << 16

ItemKind = Literal["file", "member", "tar", "table"]


class Item(NamedTuple):
    """A photo, as a `file` or a `member` of a zip; or a `tar` or a `table` of photos, which is read as a stream."""

    kind: ItemKind
    path: str
    inside: str = ""
    """The member's name; of a tar, the folder or pattern that is meant of it."""
    size: int | None = None
    """Bytes, where known."""
    photos: int | None = 1
    """How many there are, where known."""

    def line(self) -> bytes:
        """As a line of a plan."""
        return json.dumps(self).encode() + b"\n"


def items(lines: Iterable[bytes]) -> Iterator[Item]:
    """A plan that was kept."""
    return (Item(*json.loads(line)) for line in lines)


def plan(paths: Sequence[str]) -> Iterator[Item]:
    """What the paths of a command name, in their order; folders in that of names, archives and lists in their own.

    Raises `BulkError` where one names nothing, or cannot be looked into.
    """
    for path in paths:
        empty = True
        for item in _named(path):
            empty = False
            yield item
        if empty:
            raise BulkError(f"{path} holds no photo: names of photos end with .jpg, .png, .webp, .heic and the like.")


def is_archive(path: str) -> bool:
    """Whether a path names an archive or a table of photos, or something in one."""
    return bool(_INSIDE.match(path)) or _ends(path, _SEVERAL)


def names_folder(path: str) -> bool:
    """Whether a path looks like that of a folder of this machine, which need not be there."""
    return not ("://" in path or is_pattern(path) or is_archive(path) or _ends(path, (*LISTS, *PHOTOS)))


def is_pattern(path: str) -> bool:
    """Whether a path has signs of a pattern."""
    return bool(_MAGIC.search(path))


def _named(path: str) -> Iterator[Item]:
    storage = storage_of(path)
    kind = storage.kind(path)
    if kind == "folder":
        yield from _walk(storage, path)
    elif kind == "file":
        yield from _file(storage, path, lists=True)
    elif (inside := _INSIDE.match(path)) and storage.kind(inside[1]) == "file":
        yield from _file(storage, inside[1], inside=inside[2])
    elif is_pattern(path):
        for match in storage.matching(path):
            yield from _walk(storage, match) if storage.kind(match) == "folder" else _of_folder(storage, match, None)
    else:
        raise BulkError(f"{path} is not there.")


def _walk(storage: Storage, folder: str, above: frozenset[str] = frozenset()) -> Iterator[Item]:
    """What lies in a folder and below it, in the order of names. A linked folder that leads back is left out."""
    real = str(Path(folder).resolve()) if "://" not in folder else folder
    if real in above:
        return
    for entry in sorted(storage.entries(folder), key=lambda entry: entry.path.rstrip("/")):
        name = _name(entry.path)
        if hidden(name):
            continue
        if entry.folder:
            yield from _walk(storage, entry.path, above | {real})
        else:
            yield from _of_folder(storage, entry.path, entry.size)


def _of_folder(storage: Storage, path: str, size: int | None) -> Iterator[Item]:
    """A file that nobody named by itself: it counts where its name is that of a photo, an archive or a table."""
    if _ends(path, tuple(PHOTOS)):
        yield Item("file", path, size=size)
    elif _ends(path, _SEVERAL):
        yield from _file(storage, path)


def _file(storage: Storage, path: str, inside: str = "", *, lists: bool = False) -> Iterator[Item]:
    if _ends(path, ZIPS):
        yield from _zip(storage, path, inside)
    elif _ends(path, TARS):
        with storage.open(path) as file:
            size = file.seek(0, io.SEEK_END) if file.seekable() else None
        yield Item("tar", path, inside, size, None)
    elif _ends(path, TABLES):
        yield from _table(storage, path)
    elif lists and _ends(path, LISTS):
        for named in _listed(storage, path):
            whole = _beside(path, named)
            yield from (_file(storage_of(whole), whole) if _ends(whole, _SEVERAL) else (Item("file", whole),))
    else:
        yield Item("file", path)


def _zip(storage: Storage, path: str, inside: str) -> Iterator[Item]:
    import zipfile

    try:
        with storage.open(path) as file, zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if not member.is_dir() and is_meant(member.filename, inside):
                    yield Item("member", path, member.filename, member.file_size)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise BulkError(f"{path} is no zip that can be read: {error}. Copy it again, or leave it out.") from error


def is_meant(name: str, inside: str) -> bool:
    """Whether a member of an archive is a photo, in the folder `inside` or of the pattern that it is."""
    if not _ends(name, tuple(PHOTOS)) or hidden(name):
        return False
    inside = inside.strip("/")
    return not inside or name == inside or name.startswith(f"{inside}/") or fnmatchcase(name, inside)


def _table(storage: Storage, path: str) -> Iterator[Item]:
    with storage.open(path) as file:
        table = open_table(file, path)
        if table.holds_photos:
            yield Item("table", path, photos=table.rows)
            return
        for named in table.paths():
            yield Item("file", _beside(path, named))


def _listed(storage: Storage, path: str) -> Iterator[str]:
    """The paths that a text file lists, one a line, or a CSV file in a column."""
    with storage.open(path) as file:
        lines = _lines(file, path)
        if _ends(path, (".txt",)):
            yield from (line.strip() for line in lines if line.strip())
            return
        rows = csv.reader(lines)
        try:
            header = next(rows, [])
            column = next((header.index(name) for name in PATH_COLUMNS if name in header), None)
            if column is None:
                raise BulkError(
                    f"{path} has no column of paths: call it one of {', '.join(PATH_COLUMNS)}, or list the paths in a "
                    ".txt, one a line."
                )
            for row in rows:
                if row and len(row) < len(header):
                    has = f"{len(row)} of {len(header)} columns"
                    raise BulkError(f"{path} ends early or is damaged: line {rows.line_num} has {has}.")
                if row and row[column].strip():
                    yield row[column].strip()
        except csv.Error as error:
            raise BulkError(f"{path} is no CSV in line {rows.line_num}: {error}.") from error


def _lines(file: IO[bytes], path: str) -> Iterator[str]:
    """The lines of a text. Raises `BulkError` where it is none, or ends before the size that its place gives."""
    whole = file.seek(0, io.SEEK_END) if file.seekable() else None
    if whole is not None:
        file.seek(0)
    read = 0
    buffered = io.BufferedReader(cast(io.RawIOBase, file))  # fsspec's files have no lines of a bounded length
    while line := buffered.readline(_MOST_LINE):
        read += len(line)
        try:
            text = line.removeprefix(codecs.BOM_UTF8).decode()
        except UnicodeDecodeError as error:
            raise BulkError(f"{path} is no list of paths: it is not UTF-8 text.") from error
        if len(line) == _MOST_LINE or "\0" in text:
            raise BulkError(f"{path} is no list of paths: it has lines that no path has.")
        yield text
    if whole is not None and read < whole:
        raise BulkError(f"{path} ends early: {read:,} of its {whole:,} bytes were read. Try again.")


def _beside(path: str, named: str) -> str:
    """A path that stands in a file: where it is a relative one, from the folder of that file."""
    if "://" in named or named.startswith("/"):
        return named
    return posixpath.join(posixpath.dirname(path), named)


def _name(path: str) -> str:
    return posixpath.basename((urlsplit(path).path if path.startswith(("http://", "https://")) else path).rstrip("/"))


def _ends(path: str, endings: tuple[str, ...]) -> bool:
    return _name(path).lower().endswith(endings)
