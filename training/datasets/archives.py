"""Archives as downloaded. Nothing is extracted under a name that an archive gives.

Zip members are read in place, and a tar's are copied, one after another, into a single file of the cache. Names that
lead out of the archive, links and members of absurd size are refused.
"""

import json
import stat
import tarfile
import zipfile
import zlib
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO

from foodscene.training import storage
from foodscene.training.datasets.files import MAX_MEMBER, DatasetError, FileEntry, Files, FolderFiles, hidden

_CHUNK = 1 << 20


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
        entries: dict[str, FileEntry] = {}
        for member in self._zip.infolist():
            if member.is_dir() or hidden(member.filename):
                continue
            _check(path, member.filename, member.file_size, link=stat.S_ISLNK(member.external_attr >> 16))
            if member.flag_bits & 1:
                raise DatasetError(f"{path} is encrypted. Unpack it with its password and give the folder.")
            entries[member.filename] = FileEntry(member.file_size, member.CRC)
        super().__init__(path, entries)

    def __reduce__(self) -> tuple[type["ZipFiles"], tuple[Path]]:
        return ZipFiles, (self.path,)

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise DatasetError(f"{self.path}: {name} is damaged: {error}.") from error


class TarFiles(Files):
    """A tar archive. Its members are copied into one file of the cache when it is first opened: a compressed tar can
    only be read from its beginning. A refused archive leaves nothing behind.
    """

    def __init__(self, path: Path) -> None:
        status = path.stat()
        key = sha256(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
        self._folder = storage.default_root() / f"archive-{path.name.partition('.')[0]}-{key}"
        if not self._folder.is_dir():
            self._unpack(path)
        index = json.loads((self._folder / "index.json").read_text())
        self._places = {name: (offset, size) for name, (offset, size, _) in index.items()}
        super().__init__(path, {name: FileEntry(size, crc) for name, (_, size, crc) in index.items()})

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        offset, size = self._places[name]
        with (self._folder / "members").open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def _unpack(self, path: Path) -> None:
        # Photos are compressed already: what grows a hundredfold is no archive of photos.
        most = 100 * path.stat().st_size + MAX_MEMBER
        index: dict[str, tuple[int, int, int]] = {}
        end = 0
        with storage.adding(self._folder) as folder, (folder / "members").open("wb") as file:
            try:
                with tarfile.open(path, "r|*") as tar:
                    for member in tar:
                        if member.isdir() or hidden(member.name):
                            continue
                        _check(path, member.name, member.size, link=not member.isreg() or member.issparse())
                        storage.ensure_space(folder, member.size)
                        content = tar.extractfile(member)
                        crc = _copy(content, file) if content else 0
                        if file.tell() != end + member.size:
                            raise EOFError("it ends within a file")
                        index[member.name.removeprefix("./")] = end, member.size, crc
                        end = file.tell()
                        if end > most:
                            raise DatasetError(f"{path} unpacks to more than {most / 1e9:.1f} GB; it is refused.")
            except (tarfile.TarError, EOFError, zlib.error) as error:
                raise DatasetError(f"{path} is damaged or cut short: {error}. Download it again.") from error
            if not index:
                raise DatasetError(f"{path} contains no files.")
            (folder / "index.json").write_text(json.dumps(index))


def _copy(source: IO[bytes], target: IO[bytes]) -> int:
    """Copy a stream; returns the CRC-32 of its content."""
    crc = 0
    while chunk := source.read(_CHUNK):
        crc = zlib.crc32(chunk, crc)
        target.write(chunk)
    return crc


def _check(archive: Path, name: str, size: int, *, link: bool) -> None:
    """Refuse a member that no honest archive of photos contains. Raises `DatasetError`."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or name[1:2] == ":":
        raise DatasetError(f"{archive} is refused: its member {name!r} leads out of the archive.")
    if link:
        raise DatasetError(f"{archive} is refused: its member {name!r} is a link or a device, not a file.")
    if size > MAX_MEMBER:
        raise DatasetError(
            f"{archive} is refused: its member {name!r} has {size / 1e9:.2f} GB; "
            f"files of up to {MAX_MEMBER / 1e9:.2f} GB are read."
        )
