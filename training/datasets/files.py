"""The files of a data set: their names, sizes and checksums, and the bytes of each."""

import codecs
import json
import os
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from foodscene.models.decoding.inspection import looks_like_photo
from foodscene.models.decoding.names import PHOTOS, hidden
from foodscene.models.errors import FoodsceneError
from foodscene.models.files import UnreadableFile, read
from foodscene.models.folders import MANIFEST
from foodscene.training import storage

PICTURES = frozenset(".svg .ico .jxl .jp2 .j2k .psd .xcf .cr2 .cr3 .nef .arw .dng .orf .raf .rw2".split())
"""What the names of pictures end with that are of formats not read here."""

_NO_PICTURES = frozenset(
    (
        ".txt .csv .tsv .json .jsonl .xml .yaml .yml .md .html .css .js .py .ipynb .sh .log .ini .cfg .toml .lock .pdf "
        ".doc .docx .xls .xlsx .h5 .hdf5 .keras .onnx .pb .tflite .pt .pth .npy .npz .pkl .mat .parquet .db .sqlite "
        ".zip .tar .gz .tgz .bz2 .xz .rar .7z .mp3 .wav .mp4 .mov .avi .mkv .webm"
    ).split()
)
"""What the names of files end with that nobody means as photos."""

_BEGINNING = 32

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

    def __init__(self, path: Path, entries: dict[str, FileEntry], left_out: dict[str, str]) -> None:
        self.path = path
        self.left_out = left_out
        """Why files are not read, by name: links, devices, what is larger than any photo or cannot be read."""
        self.entries = {name: entries[name] for name in sorted(entries)}
        """Size and checksum by relative name, slashes forward, sorted; without what systems leave behind."""
        self.notes: tuple[str, ...] = ()
        """What is to be said of them, in sentences."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of a file. Raises `DatasetError` where it cannot be read."""

    def text(self, name: str) -> str:
        """The content of a text file, however it is encoded and its lines are ended."""
        return decoded(self.read(name))

    def beginning(self, name: str) -> bytes:
        """The first bytes of a file; none where it cannot be read."""
        try:
            return self.read(name)[:_BEGINNING]
        except DatasetError:
            return b""

    def find(self, name: str) -> str | None:
        """The file of this name, or else one that differs in case alone: `CATEGORY.TXT`; None where there is none."""
        return name if name in self.entries else self._by_case.get(name.casefold())

    def photos(self) -> list[str]:
        """The names that end as a photo's, and those of whatever else begins as one: `42`, `42.jpg!large`."""
        return list(self._photos)

    def unread(self) -> list[str]:
        """The names that end as those of pictures of formats that are not read."""
        return [name for name in self.entries if PurePosixPath(name).suffix.lower() in PICTURES]

    @cached_property
    def _by_case(self) -> dict[str, str]:
        return {name.casefold(): name for name in reversed(self.entries)}

    @cached_property
    def _photos(self) -> list[str]:
        return [name for name in self.entries if self._is_photo(name)]

    def _is_photo(self, name: str) -> bool:
        ending = PurePosixPath(name).suffix.lower()
        if ending in PHOTOS:
            return True
        return ending not in _NO_PICTURES and looks_like_photo(self.beginning(name))


def decoded(text: bytes) -> str:
    """The text of a file in UTF-8, UTF-16, or else as Windows writes western languages, or Japanese."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return text.decode("utf-16", "replace")
    if b"\0" in text[:2]:  # a Latin letter's other byte
        return text.decode("utf-16-le" if text[0] else "utf-16-be", "replace")
    for encoding in ("utf-8-sig", "cp1252", "cp932"):
        try:
            return text.decode(encoding)
        except UnicodeDecodeError:
            continue
    return text.decode("latin-1")


class FolderFiles(Files):
    """A folder on disk. What foodscene made in it, runs, bundles and reports, is no part of it."""

    def __init__(self, path: Path) -> None:
        ours: list[str] = []
        try:
            names = [file.relative_to(path).as_posix() for file in _walk(path, ours)]
            super().__init__(path, *_checksums(path, [name for name in names if not hidden(name)]))
        except storage.StorageError:
            raise
        except OSError as error:
            raise DatasetError(f"{error.filename or path} cannot be read: {error.strerror}.") from error
        if ours:
            self.notes = (f"Made by foodscene, and no photos to learn from: {', '.join(sorted(ours))}.",)

    def beginning(self, name: str) -> bytes:
        """See `Files.beginning`."""
        try:
            with (self.path / name).open("rb") as file:
                return file.read(_BEGINNING)
        except OSError:
            return b""

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        try:
            return read(self.path / name, MAX_MEMBER)
        except UnreadableFile as error:
            raise DatasetError(str(error)) from error
        except OSError as error:
            raise DatasetError(f"{self.path / name} cannot be read: {error.strerror}.") from error


def _checksums(folder: Path, names: list[str]) -> tuple[dict[str, FileEntry], dict[str, str]]:
    """Size and checksum of the files of a folder, and why some are left out.

    What was read once is not again while its size and time stay.
    """
    known_path = storage.default_root() / "folders" / f"{sha256(str(folder.resolve()).encode()).hexdigest()[:16]}.json"
    try:
        known = json.loads(known_path.read_text())
    except (OSError, ValueError):
        known = {}
    found: dict[str, tuple[int, int, int]] = {}
    left_out: dict[str, str] = {}
    now = time.time_ns()
    for name in names:
        status = (folder / name).stat()
        if status.st_size > MAX_MEMBER:
            left_out[name] = too_large(status.st_size)
            continue
        before = known.get(name, (None, None, 0))
        same = before[:2] == [status.st_size, status.st_mtime_ns]
        # A file of this moment may change once more without its time telling.
        changed = status.st_mtime_ns if now - status.st_mtime_ns > _CLOCK else 0
        try:
            found[name] = status.st_size, changed, before[2] if same else _crc(folder / name)
        except OSError as error:
            left_out[name] = f"it cannot be read: {error.strerror}"
    if found != known:
        storage.write_bytes(known_path, json.dumps(found).encode())
    return {name: FileEntry(size, crc) for name, (size, _, crc) in found.items()}, left_out


def too_large(size: int) -> str:
    """Why a file of so many bytes is left out."""
    return f"it has {size / 1e9:.2f} GB; files of up to {MAX_MEMBER / 1e9:.2f} GB are read"


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc


def _walk(folder: Path, ours: list[str]) -> Iterator[Path]:
    """The files below `folder`; linked folders are followed, each real folder once.

    Folders below it that foodscene made are not entered; their names come into `ours`. Raises `OSError` for a folder
    that may not be read, but for the one that file systems keep.
    """
    seen: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        here = Path(parent)
        real = here.resolve()
        if real in seen or (here != folder and _is_ours(names)):
            if real not in seen:
                ours.append(f"{here.relative_to(folder).as_posix()}/")
            folders.clear()
            continue
        seen.add(real)
        yield from (here / name for name in names if (here / name).is_file())


def _is_ours(names: Sequence[str]) -> bool:
    """Whether files of these names lie in a folder that foodscene made: a run, a search, a bundle, a report."""
    made: tuple[set[str], ...] = (
        {"run.json"},
        {"space.toml", "journal.log"},
        {"labels.txt", "model.h5"},
        {"labels.txt", "model.keras"},
        {"labels.txt", "keras_model.h5"},
        {"labels.txt", "model.onnx"},
        {MANIFEST},
    )
    return any(group <= set(names) for group in made)


def _refuse(error: OSError) -> None:
    if Path(error.filename).name != "lost+found":
        raise error
