"""Where what was computed from a data set once is kept: unpacked archives, decoded photos, what was found of them."""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from foodscene.models import files, folders
from foodscene.models.errors import FoodsceneError
from foodscene.training import locks

# The folders of the cache, and the files in each.
_NAMES = {
    re.compile(r"photos-.+-[0-9a-f]{12}-\d+x\d+x\d+-[a-z]+-\w+(\.unfinished)?"): re.compile(
        r"pixels|state|index\.json"
    ),
    re.compile(r"survey-.+-[0-9a-f]{12}-\w+"): re.compile(r"facts\.json"),
    re.compile(r"archive-.+-[0-9a-f]{16}"): re.compile(r"members|index\.json"),
    re.compile(r"folders"): re.compile(r"[0-9a-f]{16}\.json"),
    re.compile(r"compiled"): re.compile(r"[0-9a-f]{64}-\d+x\d+-\d+\.onnx"),
}


class Entry(NamedTuple):
    """A folder in the cache and the bytes that it occupies."""

    path: Path
    size: int


class StorageError(FoodsceneError, OSError):
    """The cache cannot be written or read. Its text says why and what to do."""


def default_root() -> Path:
    """The folder of the cache."""
    return files.cache_root()


def entries(root: Path) -> list[Entry]:
    """What lies in the cache, by name. Only what we put there counts, whatever else is in the folder."""
    if not root.is_dir():
        return []
    return [
        Entry(path, sum(part.lstat().st_blocks * 512 for part in path.iterdir()))
        for path in sorted(root.iterdir())
        if path.is_dir() and not path.is_symlink() and _is_ours(path)
    ]


def clear(root: Path) -> list[Entry]:
    """Delete what lies in the cache and return it. Other files in the folder stay, and what somebody is making."""
    removed = [entry for entry in entries(root) if locks.holder(lock_of(entry.path)) is None]
    if root.is_dir():
        folders.remove_leftovers(root)
    for entry in removed:
        if names := _file_names(entry.path.name):
            folders.remove(entry.path, names)
    return removed


def lock_of(folder: Path) -> Path:
    """The lock that whoever fills a folder of the cache holds."""
    return folder.with_name(f".{folder.name.removesuffix('.unfinished')}.lock")


def _is_ours(folder: Path) -> bool:
    """Whether a folder has a name that we give, and nothing in it but files that we write there."""
    names = _file_names(folder.name)
    return names is not None and all(names.fullmatch(path.name) for path in folder.iterdir())


def _file_names(folder: str) -> re.Pattern[str] | None:
    """The names of the files in the folder of the cache of that name; None where it is none of ours."""
    return next((inside for name, inside in _NAMES.items() if name.fullmatch(folder)), None)


def ensure_space(folder: Path, size: int) -> None:
    """Create `folder`. Raises `StorageError` where it cannot be, or fewer than `size` bytes are free there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror}. Set FOODSCENE_CACHE to a folder that can."
        ) from error
    if size > free:
        raise StorageError(
            f"{size / 1e9:.2f} GB are needed in {folder} and {free / 1e9:.2f} GB are free. "
            "Free some with `foodscene data cache clear`, or set FOODSCENE_CACHE to a folder on a larger disk."
        )


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises `StorageError`."""
    ensure_space(path.parent, len(content))
    with explaining_full_disk(path.parent):
        files.write(path, content)


@contextmanager
def explaining_full_disk(folder: Path) -> Iterator[None]:
    """Say what to do where the block finds the disk full. Raises `StorageError` then."""
    try:
        yield
    except OSError as error:
        if isinstance(error, StorageError) or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise StorageError(
            f"{folder} is full. Free some space, for instance with `foodscene data cache clear`, or set "
            "FOODSCENE_CACHE to a folder on a larger disk. Then start again: decoding goes on where it stopped."
        ) from error


@contextmanager
def adding(folder: Path) -> Iterator[Path]:
    """A new folder that becomes `folder` if the block succeeds, and disappears if it fails. Raises `StorageError`."""
    ensure_space(folder.parent, 0)
    with explaining_full_disk(folder.parent), folders.adding(folder) as new:
        yield new
