"""Where what was computed from a data set once is kept: unpacked archives, decoded photos, what was found of them."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """A folder in the cache and the bytes that it occupies."""

    path: Path
    size: int


class StorageError(OSError):
    """The cache cannot be written. Its text says why and what to do."""


def default_root() -> Path:
    """The folder of the cache: where `FOODSCENE_CACHE` points, else ``~/.cache/foodscene``."""
    return Path(os.environ.get("FOODSCENE_CACHE") or "~/.cache/foodscene").expanduser()


def entries(root: Path) -> list[Entry]:
    """What lies in the cache, by name."""
    if not root.is_dir():
        return []
    return [
        Entry(path, sum(part.lstat().st_blocks * 512 for part in path.rglob("*")))
        for path in sorted(root.iterdir())
        if path.is_dir() and path.name.partition("-")[0] in ("photos", "survey", "archive", "folders")
    ]


def clear(root: Path) -> list[Entry]:
    """Delete what lies in the cache and return it. Other files in the folder stay."""
    removed = entries(root)
    for entry in removed:
        shutil.rmtree(entry.path)
    return removed


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
    """Write a small file whole or not at all."""
    ensure_space(path.parent, len(content))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with explaining_full_disk(path.parent):
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


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
def writing(folder: Path) -> Iterator[Path]:
    """A new temporary folder that becomes `folder` if the block succeeds, and disappears if it fails."""
    ensure_space(folder.parent, 0)
    temporary = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        with explaining_full_disk(folder.parent):
            yield temporary
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process made the same one in the meantime
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
