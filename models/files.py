"""Files written so that nothing is lost: under its name a file is the old one or the new one at every moment, whole and
on the disk. The one place that replaces files; `models.folders` is that for folders.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO

from foodscene.models.errors import FoodsceneError

MARK = "made with foodscene"
"""Stands in every page and picture that a command writes where a person says: what bears it may be replaced."""

_YOUNG = 5.0
"""Seconds in which a file or folder may exist before whoever makes it holds its lock."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OccupiedError(FoodsceneError, ValueError):
    """Something that foodscene did not write is where it is to write. The text says what, and what to do."""


class UnreadableFile(FoodsceneError, ValueError):
    """What should be a file is something else, or is too large. The text says which and what."""


class DiskFullError(FoodsceneError, OSError):
    """There was no room to write. What stood there before stands there still."""

    def __init__(self, place: Path) -> None:
        super().__init__(f"There is no room left in {place}: nothing was replaced. Make room, then try again.")
        self.errno = errno.ENOSPC


def write(path: Path, content: bytes) -> None:
    """Write a file in one step: whoever reads it, or a process that is killed, sees the old content or the new.

    Raises `DiskFullError`.
    """
    with writing(path) as file:
        file.write(content)


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A new file, which takes the place of `path` when the block ends without an error, synced to the disk.

    Where the system can (Linux), it has no name until it is whole, so that a killed process leaves nothing behind. A
    link is followed. Raises `DiskFullError`.
    """
    path = Path(os.path.realpath(path))
    with explaining_full_disk(path.parent):
        descriptor, temporary = _open_new(path)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                with contextlib.suppress(OSError):
                    os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
                yield file
                file.flush()
                os.fsync(descriptor)
                if temporary is None:
                    temporary = _give_name(descriptor, _temporary_name(path))
                temporary.replace(path)
                temporary = None
            sync_folder(path.parent)
        finally:
            if temporary:
                temporary.unlink(missing_ok=True)


def write_output(path: Path, content: bytes) -> None:
    """Write a page or picture where somebody wants it, in a folder that need not exist. Raises `DiskFullError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, content)


def check_output(path: Path) -> None:
    """Make sure that a page or picture may be written to `path`, before the work is done that leads to it.

    Raises `OccupiedError` where a file stands there that does not bear our `MARK`, or no file can stand there.
    """
    check_writable(path.parent)
    if path.is_dir():
        raise OccupiedError(f"{path} is a folder. Name a file in it.")
    if path.exists() and MARK.encode() not in path.read_bytes():
        raise OccupiedError(
            f"{path} exists, and foodscene did not make it: it is not replaced. Remove it, or name another file."
        )


def check_writable(folder: Path, size: int = 0) -> None:
    """Make sure that `folder` exists or can be made, and that `size` bytes have room there.

    Raises `OccupiedError` where a file stands in its way, `PermissionError`, and `OSError` with ENOSPC.
    """
    place = Path(os.path.realpath(folder))
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise OccupiedError(f"{place} is a file, so that there can be no folder {folder}. Name another folder.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(f"{place} cannot be written to. Change its permissions, or name another folder.")
    if (free := shutil.disk_usage(place).free) < size:
        raise OSError(
            errno.ENOSPC, f"{size / 1e9:.2f} GB are needed in {folder} and {free / 1e9:.2f} GB are free. Make room."
        )


@contextmanager
def opening(path: Path, most: int) -> Iterator[BufferedReader]:
    """A file that somebody else made, open for reading: never a pipe or a device, which may hang or have no end.

    Links are followed. Raises `UnreadableFile` for what is no regular file or has more than `most` bytes, and
    `OSError`.
    """
    _check_regular(path, path.stat(), most)  # to open a device may be an act in itself
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe in its place would not hang
    with os.fdopen(descriptor, "rb") as file:
        _check_regular(path, os.fstat(descriptor), most)
        yield file


def read(path: Path, most: int) -> bytes:
    """The content of a file that somebody else made. Raises as `opening` does."""
    with opening(path, most) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise _too_large(path, len(content), most)
    return content


def _check_regular(path: Path, status: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        raise UnreadableFile(f"{path} is {kinds.get(stat.S_IFMT(status.st_mode), 'a device')}, not a file.")
    if status.st_size > most:
        raise _too_large(path, status.st_size, most)


def _too_large(path: Path, size: int, most: int) -> UnreadableFile:
    return UnreadableFile(f"{path} has {size / 1e6:,.1f} MB; files of up to {most / 1e6:,.1f} MB are read.")


def hash_file(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hash_content(file)


def hash_content(file: BufferedReader) -> str:
    """The sha256 of an open file, from where it stands to its end, in hexadecimal."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def _open_new(path: Path) -> tuple[int, Path | None]:
    """A new file to write to, and its name beside `path`; without one where the system has files without names."""
    if sys.platform == "linux" and Path("/proc/self/fd").is_dir():
        with contextlib.suppress(OSError):  # some file systems have none
            return os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o666), None
    _remove_dead(path.parent)
    temporary = _temporary_name(path)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    with contextlib.suppress(OSError):  # some network folders have no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor, temporary


def _remove_dead(folder: Path) -> None:
    """Remove what killed processes left in a folder: what nobody holds the lock of."""
    for left in folder.glob(".foodscene-*.unfinished"):
        with contextlib.suppress(OSError), left.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - left.stat().st_mtime > _YOUNG:  # else its lock may be about to be taken
                left.unlink()


def _give_name(descriptor: int, name: Path) -> Path:
    folder = os.open(name.parent, os.O_RDONLY)
    try:  # with a folder's descriptor, Python follows the link to the open file
        os.link(f"/proc/self/fd/{descriptor}", name.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
    return name


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".foodscene-{uuid.uuid4().hex[:12]}.unfinished")


def sync(path: Path) -> None:
    """See to it that what a file holds is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """See to it that names given and taken in a folder are on the disk, where the file system can."""
    with contextlib.suppress(OSError):  # some file systems sync no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def explaining_full_disk(place: Path) -> Iterator[None]:
    """Raises `DiskFullError` where the block finds no room to write."""
    try:
        yield
    except OSError as error:
        if isinstance(error, DiskFullError) or error.errno not in _FULL:
            raise
        raise DiskFullError(place) from error
