"""The files of a data set: their names, sizes and checksums, and the bytes of each."""

import json
import os
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from foodscene.models.errors import FoodsceneError
from foodscene.training import storage

PHOTOS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"}
)
"""What the names of photos end with, in lower case."""

MAX_MEMBER = 256_000_000
"""Bytes of the largest file that is read: more than the largest photo that is decoded has, uncompressed."""

_CHUNK = 1 << 20
_CLOCK = 2_000_000_000  # nanoseconds: the coarsest time of a file system, FAT's


class DatasetError(FoodsceneError, ValueError):
    """A folder or an archive that cannot be used as a data set. Its text says what is wrong and what to do."""


class FileEntry(NamedTuple):
    """A file's size in bytes and the CRC-32 of its content."""

    size: int
    crc: int


class Files(ABC):
    """The files under a path, read-only. Can be sent to another process."""

    def __init__(self, path: Path, entries: dict[str, FileEntry]) -> None:
        self.path = path
        self.entries = {name: entries[name] for name in sorted(entries)}
        """Size and checksum by relative name, slashes forward, sorted; without what systems leave behind."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of a file. Raises `DatasetError` where it cannot be read."""

    def text(self, name: str) -> str:
        """The content of a text file, however it is encoded and its lines are ended."""
        content = self.read(name)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return content.decode("latin-1")

    def photos(self) -> list[str]:
        """The names that end as a photo's."""
        return [name for name in self.entries if PurePosixPath(name).suffix.lower() in PHOTOS]


class FolderFiles(Files):
    """A folder on disk."""

    def __init__(self, path: Path) -> None:
        names = (file.relative_to(path).as_posix() for file in _walk(path))
        try:
            super().__init__(path, _checksums(path, [name for name in names if not hidden(name)]))
        except storage.StorageError:
            raise
        except OSError as error:
            raise DatasetError(f"{error.filename or path} cannot be read: {error.strerror}.") from error

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise DatasetError(f"{self.path / name} cannot be read: {error.strerror}.") from error


def _checksums(folder: Path, names: list[str]) -> dict[str, FileEntry]:
    """Size and checksum of the files of a folder. What was read once is not again while its size and time stay."""
    known_path = storage.default_root() / "folders" / f"{sha256(str(folder.resolve()).encode()).hexdigest()[:16]}.json"
    try:
        known = json.loads(known_path.read_text())
    except (OSError, ValueError):
        known = {}
    found: dict[str, tuple[int, int, int]] = {}
    now = time.time_ns()
    for name in names:
        status = (folder / name).stat()
        before = known.get(name, (None, None, 0))
        same = before[:2] == [status.st_size, status.st_mtime_ns]
        # A file of this moment may change once more without its time telling.
        changed = status.st_mtime_ns if now - status.st_mtime_ns > _CLOCK else 0
        found[name] = status.st_size, changed, before[2] if same else _crc(folder / name)
    if found != known:
        storage.write_bytes(known_path, json.dumps(found).encode())
    return {name: FileEntry(size, crc) for name, (size, _, crc) in found.items()}


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc


def hidden(name: str) -> bool:
    """Whether a file was left by the system that made the archive: .DS_Store, __MACOSX/, Thumbs.db."""
    parts = PurePosixPath(name).parts
    return any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in parts) or (
        bool(parts) and parts[-1].lower() in ("thumbs.db", "desktop.ini")
    )


def _walk(folder: Path) -> Iterator[Path]:
    """The files below `folder`; linked folders are followed, each real folder once."""
    seen: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = Path(parent).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(parent) / name for name in names if (Path(parent) / name).is_file())
