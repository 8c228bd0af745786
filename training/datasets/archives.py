"""Archives as downloaded. Nothing is extracted under a name that an archive gives.

Zip members are read in place, and a tar's are copied, one after another, into a single file of the cache. An archive
whose names lead out of it is refused, and so is one that unpacks to absurd amounts. Links, devices and members of
absurd size are left out, and the rest is read.
"""

import bz2
import gzip
import json
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from foodscene.models.decoding.names import hidden
from foodscene.training import storage
from foodscene.training.datasets.files import (
    MAX_MEMBER,
    DatasetError,
    FileEntry,
    Files,
    FolderFiles,
    too_large,
)

_CHUNK = 1 << 20
_MOST_HEADER = 64 << 10
"""Bytes that a tar may say of one member: its name, and whatever a system keeps of it."""
_MOST_HEADERS = 5 << 20
"""Bytes that it may say of all of them, beyond twenty times what the archive has: reading them takes long."""
_MOST_SKIPPED = 1_000_000_000
"""Bytes that are unpacked to get past what is left out, beyond a hundred times what the archive has."""
_MOST_MEMBERS = 5_000_000
_VERSION = 2
"""Of what the cache keeps of a tar."""


def open_files(path: Path) -> Files:
    """The files of a folder, a zip, or a tar in any compression that Python knows. Raises `DatasetError`."""
    if path.is_dir():
        return FolderFiles(path)
    if not path.is_file():
        raise DatasetError(f"{path} does not exist. Give a folder of photos or an archive as downloaded.")
    try:
        if zipfile.is_zipfile(path):
            return ZipFiles(path)
        with path.open("rb") as file:
            start = file.read(512)
        if start.startswith(b"PK"):
            raise DatasetError(f"{path} is a zip that is damaged or cut short. Download it again.")
        if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")) or start[257:262] == b"ustar":
            return TarFiles(path)
    except storage.StorageError:
        raise
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
    raise DatasetError(f"{path} is neither a folder nor a zip, tar or tar.gz archive.")


class ZipFiles(Files):
    """A zip archive, read in place."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DatasetError(f"{path} is a zip that is damaged or cut short: {error}. Download it again.") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        left_out: dict[str, str] = {}
        for member in self._zip.infolist():
            name = _name(_zip_name(member))
            if member.filename.endswith(("/", "\\")) or hidden(name):
                continue
            _refuse_leading_out(path, name)
            if member.flag_bits & 1:
                raise DatasetError(f"{path} is encrypted. Unpack it with its password and give the folder.")
            kind = stat.S_IFMT(member.external_attr >> 16)
            reason = _reason(member.file_size, regular=kind in (0, stat.S_IFREG))
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # Of the others, Python unpacks gigabytes at once where a member lies about its size.
                reason = reason or "it is compressed in an unusual way. Unpack the zip and give the folder"
            if reason:
                left_out[name] = reason
            else:
                self._members[name] = member
        _refuse_many(path, len(self._members))
        if sum(member.file_size for member in self._members.values()) > (most := _most(path)):
            raise _absurd(path, most)
        _refuse_empty(path, self._members, left_out)
        entries = {name: FileEntry(member.file_size, member.CRC) for name, member in self._members.items()}
        super().__init__(path, entries, left_out)

    def __reduce__(self) -> tuple[type["ZipFiles"], tuple[Path]]:
        return ZipFiles, (self.path,)

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        member = self._members[name]
        content = bytearray()
        try:
            with self._zip.open(member) as file:  # which ends after the size that the member announces
                while piece := file.read(_CHUNK):
                    content += piece
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
            raise DatasetError(f"{self.path}: {name} is damaged: {error}.") from error
        return bytes(content)


class TarFiles(Files):
    """A tar archive. Its members are copied into one file of the cache when it is first opened: a compressed tar can
    only be read from its beginning. A refused archive leaves nothing behind.
    """

    def __init__(self, path: Path) -> None:
        status = path.stat()
        told = f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {_VERSION}"
        key = sha256(os.fsencode(told)).hexdigest()[:16]
        self._folder = storage.default_root() / f"archive-{path.name.partition('.')[0]}-{key}"
        if not self._folder.is_dir():
            self._unpack(path)
        index = json.loads((self._folder / "index.json").read_text())
        self._places = {name: (offset, size) for name, (offset, size, _) in index["files"].items()}
        entries = {name: FileEntry(size, crc) for name, (_, size, crc) in index["files"].items()}
        super().__init__(path, entries, index["left_out"])

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        offset, size = self._places[name]
        with (self._folder / "members").open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def _unpack(self, path: Path) -> None:
        index: dict[str, tuple[int, int, int]] = {}
        left_out: dict[str, str] = {}
        most, end = _most(path), 0
        with storage.adding(self._folder) as folder, (folder / "members").open("wb") as file:
            try:
                with (
                    _Stream(path) as stream,
                    tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:", ignore_zeros=False) as tar,
                ):
                    while member := tar.next():
                        tar.members = []  # type: ignore[attr-defined]  # kept for who seeks back
                        tar.pax_headers = {}
                        stream.begin_member()
                        name = _name(member.name)
                        if member.isdir() or hidden(name):
                            continue
                        _refuse_leading_out(path, name)
                        if reason := _reason(member.size, regular=member.isreg() and not member.issparse()):
                            left_out[name] = reason
                            continue
                        storage.ensure_space(folder, member.size)
                        crc = _copy(stream, member, file)
                        index[name] = end, member.size, crc
                        end = file.tell()
                        if end > most:
                            raise _absurd(path, most)
                        _refuse_many(path, len(index) + len(left_out))
            except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, RecursionError, ValueError) as error:
                if isinstance(error, DatasetError):
                    raise
                raise DatasetError(f"{path} is damaged or cut short: {error}. Download it again.") from error
            _refuse_empty(path, index, left_out)
            (folder / "index.json").write_text(json.dumps({"files": index, "left_out": left_out}))


class _Stream:
    """A tar's bytes, out of whichever compression, from the beginning to the end.

    As much of a file as `tarfile` asks for: it seeks forward to skip. What it reads besides of a member, its headers,
    may have a size that is bounded, as it keeps them in memory and takes long over them. Raises `DatasetError` for
    headers beyond it, and for an archive that unpacks to absurd amounts, skipped or not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            start = file.read(6)
        openers: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
        self._file = cast("IO[bytes]", openers.get(start[:2], open)(path, "rb"))
        self._at = self._header = self._headers = 0
        self._most = _most(path) + _MOST_SKIPPED
        self._most_headers = 20 * path.stat().st_size + _MOST_HEADERS

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def begin_member(self) -> None:
        """What is read from here on is said of the next member."""
        self._header = 0

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> int:
        """Skip to a place further on."""
        if place < self._at:
            raise EOFError("it leads back to what was read already")
        while self._at < place and self.take(min(_CHUNK, place - self._at)):
            pass
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Read a part of a header."""
        self._header += size
        self._headers += size
        if size < 0 or self._header > _MOST_HEADER:
            raise DatasetError(
                f"{self._path} is refused: it says more than {_MOST_HEADER >> 10} KB of a single member."
            )
        if self._headers > self._most_headers:
            raise DatasetError(
                f"{self._path} is refused: what it says of its members, without their content, has more than "
                f"{self._most_headers / 1e6:.0f} MB. Unpack it and give the folder."
            )
        return self.take(size)

    def take(self, size: int) -> bytes:
        """Read up to `size` bytes of a member."""
        content = self._file.read(size)
        self._at += len(content)
        if self._at > self._most:
            raise _absurd(self._path, self._most)
        return content


def _copy(stream: _Stream, member: tarfile.TarInfo, target: IO[bytes]) -> int:
    """Copy a member's content; returns its CRC-32."""
    crc, left = 0, member.size
    stream.seek(member.offset_data)
    while left:
        chunk = stream.take(min(_CHUNK, left))
        if not chunk:
            raise EOFError("it ends within a file")
        crc = zlib.crc32(chunk, crc)
        target.write(chunk)
        left -= len(chunk)
    return crc


def _zip_name(member: zipfile.ZipInfo) -> str:
    """A member's name. Without the flag that says UTF-8, it often is all the same: what macOS and Linux write."""
    if not member.flag_bits & 0x800:
        try:
            return member.filename.encode("cp437").decode("utf-8")
        except UnicodeError:  # as the standard has it, or as another field of the archive says
            return member.filename
    return member.filename


def _name(name: str) -> str:
    """A member's name with slashes forward, which Windows' own programs write the other way."""
    return name.replace("\\", "/").removeprefix("./")


def _refuse_leading_out(archive: Path, name: str) -> None:
    if ".." in PurePosixPath(name).parts or name.startswith("/") or name[1:2] == ":":
        raise DatasetError(f"{archive} is refused: its member {name!r} leads out of the archive.")


def _reason(size: int, *, regular: bool) -> str:
    """Why a member is left out; empty where it is not."""
    if not regular:
        return "it is a link or a device, not a file"
    return too_large(size) if size > MAX_MEMBER else ""


def _most(archive: Path) -> int:
    """Bytes that an archive may unpack to. Photos are compressed already: none of photos grows a hundredfold."""
    return 100 * archive.stat().st_size + MAX_MEMBER


def _absurd(archive: Path, most: int) -> DatasetError:
    return DatasetError(f"{archive} unpacks to more than {most / 1e9:.1f} GB; it is refused.")


def _refuse_many(archive: Path, members: int) -> None:
    if members > _MOST_MEMBERS:
        raise DatasetError(f"{archive} is refused: it has more than {_MOST_MEMBERS:,} files.")


def _refuse_empty(archive: Path, files: object, left_out: dict[str, str]) -> None:
    if not files:
        said = "".join(f" {name!r} is left out: {reason}." for name, reason in list(left_out.items())[:1])
        raise DatasetError(f"{archive} contains no files.{said}")
