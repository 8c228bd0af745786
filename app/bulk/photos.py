"""The photos of a plan, read one after the other, or several together where that is faster."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import IO, NamedTuple

from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.parquet import open_table
from foodscene.app.bulk.plan import Item, is_meant, names_folder
from foodscene.app.bulk.storage import MOST_BYTES, storage_of

_PHOTOS, _BYTES = 64, 64_000_000
"""Of what is read together, at most; a single photo may have more bytes."""
_UNKNOWN = 1_000_000
"""Bytes to count for a file whose size is not known."""
_BLOCK = 512
"""Bytes of a tar's blocks."""


class Position(NamedTuple):
    """How far a job has come: the item of its plan that is next, and how many photos of that are done."""

    item: int
    photos: int = 0


BEGIN = Position(0)


class Photo(NamedTuple):
    """A photo as it was found."""

    path: str
    """As a table names it, whatever the system's names are made of."""
    content: bytes | str
    """Its bytes, or in words why there are none."""
    after: Position
    """Where a job goes on that has done this one."""


class Reader:
    """Reads a plan's photos in its order. `tar_photos` and `tar_bytes` are how far it came in archives without a table
    of contents, of which nobody knows before how many photos they hold.

    `sources` are the paths that the plan was made of: where one that is a folder is gone, its photos are not damaged.
    """

    def __init__(self, plan: Iterable[Item], start: Position = BEGIN, sources: Sequence[str] = ()) -> None:
        self.tar_photos = self.tar_bytes = 0
        self._plan, self._start = plan, start
        self._folders = [Path(source) for source in sources if names_folder(source)]

    def chunks(self) -> Iterator[list[Photo]]:
        """The photos, so many together as may be held. Raises `BulkError` where they cannot be got at any more."""
        chunk: list[Photo] = []
        held = 0
        photos = self._photos()
        ended: Exception | None = None
        while True:
            try:
                photo = next(photos, None)
            except (BulkError, OSError) as error:  # what was read before it is given all the same
                ended = error
                break
            if photo is None:
                break
            chunk.append(photo)
            held += len(photo.content)
            if len(chunk) == _PHOTOS or held > _BYTES:
                yield chunk
                chunk, held = [], 0
        if chunk:
            yield chunk
        if ended:
            raise ended

    def _photos(self) -> Iterator[Photo]:
        start = self._start
        numbered = ((number, item) for number, item in enumerate(self._plan) if number >= start.item)
        for (kind, path), group in groupby(numbered, key=_read_together):
            if kind == "file":
                yield from self._files(group)
            elif kind == "member":
                yield from _members(path, group)
            else:
                for number, item in group:
                    done = start.photos if number == start.item else 0
                    photos = self._tar(item, done) if kind == "tar" else _rows(item, done)
                    for count, (name, content) in enumerate(photos, done + 1):
                        yield Photo(readable(name), content, Position(number, count))

    def _files(self, group: Iterable[tuple[int, Item]]) -> Iterator[Photo]:
        for batch in _batches(group):
            paths = [item.path for _, item in batch]
            contents = storage_of(paths[0]).read(paths)
            if any(isinstance(content, str) for content in contents):
                self._check_folders()
            for (number, item), content in zip(batch, contents, strict=True):
                yield Photo(readable(item.path), content, Position(number + 1))

    def _check_folders(self) -> None:
        for folder in self._folders:
            if not folder.exists():
                raise BulkError(f"{folder} is not there any more.")

    def _tar(self, item: Item, skip: int) -> Iterator[tuple[str, bytes | str]]:
        """The photos of a tar, from its begin to its end, but for the first `skip`."""
        with storage_of(item.path).open(item.path) as file:
            before = self.tar_bytes
            try:
                with tarfile.open(fileobj=file, mode="r|*") as archive:
                    while (member := archive.next()) is not None:
                        archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                        if not (member.isreg() and is_meant(member.name, item.inside)):
                            continue
                        self.tar_photos += 1
                        self.tar_bytes = before + _place(file)
                        if skip:
                            skip -= 1
                            continue
                        yield f"{item.path}/{member.name}", _in_tar(archive, member)
                    _check_end(archive)
            except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
                if isinstance(error, OSError) and not isinstance(error, tarfile.TarError) and error.errno:
                    raise
                raise BulkError(
                    f"{item.path} ends early or is damaged: {error}. Copy it again, or leave it out."
                ) from error
            self.tar_bytes = before + (item.size or _place(file))


def readable(path: str) -> str:
    """A path as UTF-8 can say it, whatever bytes a system's name holds."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _read_together(numbered: tuple[int, Item]) -> tuple[str, str]:
    """What items have in common that are read in one go: files their place, members their archive."""
    _, item = numbered
    return item.kind, item.path.partition("://")[0] if item.kind == "file" and "://" in item.path else (
        "" if item.kind == "file" else item.path
    )


def _batches(group: Iterable[tuple[int, Item]]) -> Iterator[list[tuple[int, Item]]]:
    batch: list[tuple[int, Item]] = []
    held = 0
    for numbered in group:
        item = numbered[1]
        alone = not storage_of(item.path).several
        size = _UNKNOWN if item.size is None else item.size
        if batch and (alone or len(batch) == _PHOTOS or held + size > _BYTES):
            yield batch
            batch, held = [], 0
        batch.append(numbered)
        held += size
    if batch:
        yield batch


def _members(path: str, group: Iterable[tuple[int, Item]]) -> Iterator[Photo]:
    with storage_of(path).open(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, EOFError) as error:
            raise BulkError(f"{path} has changed since the job began: {error}.") from error
        with archive:
            for number, item in group:
                yield Photo(readable(f"{path}/{item.inside}"), _in_zip(archive, item.inside), Position(number + 1))


def _in_zip(archive: zipfile.ZipFile, name: str) -> bytes | str:
    try:
        with archive.open(name) as member:
            content = member.read(MOST_BYTES + 1)
    except KeyError:
        return "The archive does not hold it any more."
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        return f"The archive's copy of it cannot be unpacked: {error}."
    return content if len(content) <= MOST_BYTES else _too_large(len(content))


def _in_tar(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | str:
    if member.size > MOST_BYTES:
        return _too_large(member.size)
    file = archive.extractfile(member)
    content = file.read() if file else b""
    if len(content) < member.size:
        raise EOFError(f"{member.name} is cut short")
    return content


def _too_large(size: int) -> str:
    return f"It has {size / 1e6:,.0f} MB or more; files of up to {MOST_BYTES / 1e6:,.0f} MB are read."


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise `EOFError` where a tar lacks the empty block that ends it: `tarfile` takes that for its end, too."""
    stream = archive.fileobj
    assert stream is not None  # noqa: S101 - it is open
    if stream.tell() - archive.offset < _BLOCK:
        raise EOFError("it lacks the block that ends a tar")


def _rows(item: Item, first: int) -> Iterator[tuple[str, bytes | str]]:
    with storage_of(item.path).open(item.path) as file:
        for row, (name, content) in enumerate(open_table(file, item.path).photos(first), first):
            yield name or f"{item.path}/{row}", "The table has no bytes here." if content is None else content


def _place(file: IO[bytes]) -> int:
    with suppress(io.UnsupportedOperation, OSError):
        return file.tell()
    return 0
