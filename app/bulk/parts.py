"""The folder beside an output that keeps its rows until all are there, so that a killed job loses next to nothing.

A part is written in one step, under a name that says which rows it holds and where the job goes on after it: the parts
that are there are what is done, and there is no other record that could differ from them.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.photos import BEGIN, Position
from foodscene.app.bulk.plan import Item, items
from foodscene.models import files, folders

_JOB, _PLAN, _LOCK, _WHOLE = "job.json", "plan.jsonl", "lock", "whole"
_PART = re.compile(r"rows-(\d{12})-(\d{12})-next-(\d{12})-(\d{12})")
_EARLIER = re.compile(rf"{_PLAN}|{_PART.pattern}")
_ALL = re.compile(rf"{_JOB}|{_PLAN}|{_LOCK}|{_WHOLE}|{_PART.pattern}")


class _Part(NamedTuple):
    first: int
    end: int
    after: Position
    path: Path


class Parts:
    """What is done of the table that is to be `output`. Made by `keeping`."""

    def __init__(self, output: Path, folder: Path) -> None:
        self.output, self.folder = output, folder
        self.published = _same(output, folder / _WHOLE)
        """Whether the output is the table that was made here, and only what it was made of is left to be removed."""
        self._parts = [] if self.published else _found(folder)
        self.rows = self._parts[-1].end if self._parts else 0
        self.position = self._parts[-1].after if self._parts else BEGIN

    def plan(self, made: Iterable[Item]) -> None:
        """Keep a plan, unless there is one."""
        if not (self.folder / _PLAN).exists():
            with files.writing(self.folder / _PLAN) as file:
                for item in made:
                    file.write(item.line())

    def items(self) -> Iterator[Item]:
        """The plan that is kept."""
        with (self.folder / _PLAN).open("rb") as file:
            yield from items(file)

    def add(self, content: bytes, rows: int, after: Position) -> None:
        """Keep some rows, after which a job goes on at `after`. Raises `DiskFullError`."""
        end = self.rows + rows
        path = self.folder / f"rows-{self.rows:012}-{end:012}-next-{after.item:012}-{after.photos:012}"
        files.write(path, content)
        self._parts.append(_Part(self.rows, end, after, path))
        self.rows, self.position = end, after

    def paths(self) -> list[Path]:
        """The files of the parts, in order."""
        return [part.path for part in self._parts]

    def publish(self) -> None:
        """Make the table, which `writing_whole` wrote, the output, and remove the folder.

        Raises `OccupiedError` where a file came to stand there in the meantime.
        """
        try:
            os.link(self.folder / _WHOLE, self.output)  # unlike a rename, it never replaces
        except FileExistsError as error:
            raise _occupied(self.output, f" The table is whole: {self.folder / _WHOLE}") from error
        except OSError:  # some file systems have no second names
            self._copy()
        files.sync_folder(self.output.parent)
        self.remove()

    def _copy(self) -> None:
        """As a second name would be, a copy: neither does that ever replace a file."""
        try:
            with (self.folder / _WHOLE).open("rb") as whole, self.output.open("xb") as copy:
                shutil.copyfileobj(whole, copy)
                copy.flush()
                os.fsync(copy.fileno())
        except FileExistsError as error:
            raise _occupied(self.output, f" The table is whole: {self.folder / _WHOLE}") from error

    @contextmanager
    def writing_whole(self) -> Iterator[IO[bytes]]:
        """A file for the whole table."""
        with files.writing(self.folder / _WHOLE) as file:
            yield file

    def remove(self) -> None:
        """Remove the folder; last what says that the output is ours."""
        folders.remove(self.folder, _EARLIER)
        folders.remove(self.folder, _ALL)


@contextmanager
def keeping(output: Path, job: Mapping[str, object]) -> Iterator[Parts]:
    """The parts of `output`, new ones or those of an earlier run of the same `job`: what the rows follow from.

    Raises `OccupiedError` where a file stands there that this job did not make, `BulkError` where the parts are those
    of another job or another process is at work on them, and what `files.check_writable` raises.
    """
    folder = output.with_name(f"{output.name}.parts")
    files.check_writable(output.parent)
    if output.exists() and not (folder / _WHOLE).exists():
        raise _occupied(output)
    with files.explaining_full_disk(output.parent):
        if folder.is_dir() and not (folder / _JOB).exists() and any(_others(folder)):
            raise files.OccupiedError(f"{folder} was not made by foodscene. Move it, or name another output.")
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BulkError(f"Another process is writing {output}. Wait for it, or name another output.") from None
        except OSError:  # some network folders have no locks
            pass
        parts = Parts(output, folder)
        if output.exists() and not parts.published:
            raise _occupied(output)
        _check_job(parts, job)
        try:
            yield parts
        finally:
            if folder.is_dir() and not (folder / _PLAN).exists():
                folders.remove(folder, _ALL)


def _check_job(parts: Parts, job: Mapping[str, object]) -> None:
    """Make sure that what is done belongs to `job`, and say so in the folder. Raises `BulkError`."""
    path = parts.folder / _JOB
    try:
        before = json.loads(path.read_bytes())
    except FileNotFoundError:
        before = {}
    except ValueError as error:
        raise BulkError(f"{path} cannot be read: {error}. Remove {parts.folder}, or name another output.") from error
    other = [name for name in {**before, **job} if before.get(name) != job.get(name)]
    if other and (parts.rows or parts.published):
        raise BulkError(
            f"{parts.folder} holds the begin of another table: it differs by its {', '.join(other)}. Nothing is "
            f"replaced. Finish that one with its own command, remove the folder, or name another output than "
            f"{parts.output.name}."
        )
    if other:
        folders.remove(parts.folder, re.compile(_PLAN))
        files.write(path, json.dumps(job, indent=1).encode())


def _found(folder: Path) -> list[_Part]:
    found = []
    for path in folder.iterdir():
        if match := _PART.fullmatch(path.name):
            first, end, item, photos = map(int, match.groups())
            found.append(_Part(first, end, Position(item, photos), path))
    found.sort()
    ends = [0, *(part.end for part in found)]
    if any(part.first != end for part, end in zip(found, ends, strict=False)):
        raise BulkError(f"{folder} lacks some of its parts: rows are missing. Remove the folder, and start again.")
    return found


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _others(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.name != _LOCK)


def _occupied(output: Path, more: str = "") -> files.OccupiedError:
    return files.OccupiedError(
        f"{output} exists: it is not replaced. Move it away, remove it, or name another output.{more}"
    )
