"""Where photos lie: on this machine, or wherever fsspec reads: `s3://`, `gs://`, `https://` and others.

What is wrong with one photo is told from what is wrong with the place where they lie: the first is a row of the table
with its reason, the second ends the job, which can go on once it is mended.
"""

import errno
import glob
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from foodscene.app.bulk.errors import BulkError
from foodscene.models import files

MOST_BYTES = 256_000_000
"""Of a photo's file: more than the largest photo that is decoded has, uncompressed."""

_TRIES, _PAUSE = 3, 2.0
"""How often what is remote is asked for, and seconds before the second time; each further pause is twice as long."""

_OF_THE_FILE = (errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EPERM)
"""What the system says where the rest of the disk may well be read."""

_THE_FILE = "The file"

_REFUSED = (400, 401, 403, 404, 410, 451)
"""HTTP statuses that say something of one address, and will do so the next time."""


class Entry(NamedTuple):
    """What lies in a folder: its whole path, whether it is a folder too, and its size in bytes where that is known."""

    path: str
    folder: bool
    size: int | None


class Storage(ABC):
    """A place that holds files. Paths are whole ones, as people write them."""

    several: bool
    """Whether several files are read faster together."""

    @abstractmethod
    def kind(self, path: str) -> Literal["file", "folder"] | None:
        """What lies there. Raises `BulkError` where that cannot be found out."""

    @abstractmethod
    def matching(self, pattern: str) -> list[str]:
        """The paths that match a pattern with `*`, `?` and `[…]`, and `**` for folders in folders; sorted."""

    @abstractmethod
    def entries(self, folder: str) -> list[Entry]:
        """What lies in a folder, in any order. Raises `BulkError` or `OSError`."""

    @abstractmethod
    def open(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """A file, open for reading. Raises `BulkError` or `OSError`, in the block too."""

    @abstractmethod
    def read(self, paths: Sequence[str]) -> list[bytes | str]:
        """What files hold, or in words why one of them cannot be read. Raises `BulkError` where none can be."""


class Local(Storage):
    """The files of this machine."""

    several = False

    def kind(self, path: str) -> Literal["file", "folder"] | None:
        try:
            return "folder" if Path(path).is_dir() else "file" if Path(path).exists() else None
        except (OSError, ValueError) as error:
            raise BulkError(f"{path} cannot be looked at: {error}") from error

    def matching(self, pattern: str) -> list[str]:
        return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns

    def entries(self, folder: str) -> list[Entry]:
        with os.scandir(folder) as found:
            return [Entry(entry.path, entry.is_dir(), None) for entry in found]

    def open(self, path: str) -> AbstractContextManager[IO[bytes]]:
        return Path(path).open("rb")

    def read(self, paths: Sequence[str]) -> list[bytes | str]:
        return [self._read(path) for path in paths]

    def _read(self, path: str) -> bytes | str:
        try:
            return files.read(Path(path), MOST_BYTES)
        except files.UnreadableFile as error:
            return str(error)
        except ValueError as error:
            return f"{_THE_FILE} cannot be read: {error}."
        except OSError as error:
            if error.errno in _OF_THE_FILE:
                return f"{_THE_FILE} cannot be read: {error.strerror}."
            raise BulkError(f"{path} cannot be read: {error.strerror}.") from error


class Remote(Storage):
    """What fsspec reads, by the protocol before `://`."""

    several = True

    def __init__(self, protocol: str) -> None:
        import fsspec

        self.protocol = protocol
        for logger in ("fsspec", "gcsfs", "s3fs"):  # what they log on the way, they raise in the end
            logging.getLogger(logger).setLevel(logging.CRITICAL)
        self._fs: Any = fsspec.filesystem(protocol, use_listings_cache=False, skip_instance_cache=True)

    def kind(self, path: str) -> Literal["file", "folder"] | None:
        if self._is_web and path.endswith("/"):
            return "folder"
        with _explained(path):
            try:
                return "folder" if self._fs.info(path)["type"] == "directory" else "file"
            except FileNotFoundError:
                return None

    def matching(self, pattern: str) -> list[str]:
        with _explained(pattern):
            return sorted(self._whole(path) for path in self._fs.glob(pattern))

    def entries(self, folder: str) -> list[Entry]:
        with _explained(folder):
            found = self._fs.ls(folder, detail=True)
        # An object store may name the folder among what is in it.
        return [
            Entry(path, entry["type"] == "directory", entry.get("size"))
            for entry in found
            if (path := self._whole(entry["name"])).rstrip("/") != folder.rstrip("/")
        ]

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        with _explained(path), self._fs.open(path, "rb") as file:
            yield file

    def read(self, paths: Sequence[str]) -> list[bytes | str]:
        found: list[Any] = self._fs.cat_ranges(list(paths), None, None, on_error="return")
        for attempt in range(1, _TRIES):
            again = [index for index, content in enumerate(found) if self._may_pass(content)]
            if not again:
                break
            time.sleep(_PAUSE * 2 ** (attempt - 1))
            answers = self._fs.cat_ranges([paths[index] for index in again], None, None, on_error="return")
            for index, content in zip(again, answers, strict=True):
                found[index] = content
        return [
            bytes(content) if isinstance(content, bytes | bytearray) else self._reason(path, content)
            for path, content in zip(paths, found, strict=True)
        ]

    @property
    def _is_web(self) -> bool:
        return self.protocol in ("http", "https")

    def _whole(self, path: str) -> str:
        return path if "://" in path else f"{self.protocol}://{path}"

    @staticmethod
    def _may_pass(content: object) -> bool:
        """Whether it is worth asking again after such an answer."""
        return (
            isinstance(content, Exception)
            and not isinstance(content, FileNotFoundError | PermissionError)
            and getattr(content, "status", None) not in _REFUSED
        )

    def _reason(self, path: str, error: Exception) -> str:
        """Why one file is not there. Raises `BulkError` where the others are not there either."""
        if self._may_pass(error) or not (self._is_web or self._answers(path)):
            raise BulkError(_sentence(path, error)) from error
        return _sentence(_THE_FILE, error)

    def _answers(self, path: str) -> bool:
        """Whether the bucket of a file that is refused is there, and lets itself be asked."""
        try:
            self._fs.ls(f"{self.protocol}://{urlsplit(path).netloc}", detail=False)
        except Exception:  # noqa: BLE001 - each implementation has exceptions of its own
            return False
        return True


@cache
def _remote(protocol: str) -> Remote:
    try:
        return Remote(protocol)
    except ImportError as error:
        raise BulkError(f'{protocol}:// needs pip install "foodscene[bulk]" ({error}).') from error
    except ValueError as error:
        raise BulkError(f"{protocol}:// is no protocol that fsspec reads: {error}.") from error


_LOCAL = Local()


def storage_of(path: str) -> Storage:
    """The place that a path names. Raises `BulkError` for a protocol that is not read here."""
    protocol, separator, _ = path.partition("://")
    return _remote(protocol.lower()) if separator else _LOCAL


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Raises `BulkError` for whatever an implementation of fsspec raises."""
    try:
        yield
    except (BulkError, FileNotFoundError):
        raise
    except Exception as error:  # each implementation has exceptions of its own
        raise BulkError(_sentence(path, error)) from error


def _sentence(subject: str, error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError) and subject == _THE_FILE:
        said = os.strerror(errno.ENOENT)  # where it was looked for is all that there stands
    return f"{subject} cannot be read: {said.rstrip('.')}."
