"""Folders made so that nothing is lost: a new one takes the place of the old in one step, and what foodscene did not
write stays. The one place that deletes what is in folders.

A process that is killed leaves at most a hidden folder, which the next one that writes to the same place removes.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from foodscene.models.files import (
    OccupiedError,
    check_writable,
    explaining_full_disk,
    hash_file,
    sync,
    sync_folder,
    write,
)

# In the hidden folder in which another is being made: the lock of whoever makes it, and the old one on its way out.
_LOCK, _ASIDE = "foodscene.lock", "foodscene.old"
MANIFEST = ".foodscene.json"
"""The file in a folder of reports that says which of its files we published."""
_YOUNG = 60.0
"""Seconds in which such a folder may be without its lock."""


@contextmanager
def replacing(folder: Path, own: Collection[str]) -> Iterator[Path]:
    """A new empty folder, which takes the place of `folder` when the block ends without an error.

    `own` are the names in it that we write. Whatever else lies in `folder` comes along into the new one. The new
    folder has the final one's name. Raises `DiskFullError`.
    """
    folder = Path(os.path.realpath(folder))
    with _unfinished(folder) as new:
        yield new
        _carry_over(folder, new, own)
        _sync_tree(new)
        if folder.exists():
            _exchange(new, folder)
            for old in (new, new.with_name(_ASIDE)):
                _keep_late_arrivals(old, folder, own)
        else:
            new.rename(folder)
        sync_folder(folder.parent)


@contextmanager
def adding(folder: Path) -> Iterator[Path]:
    """A new empty folder, which becomes `folder` when the block ends without an error, unless there is one by then.

    Raises `DiskFullError`.
    """
    folder = Path(os.path.realpath(folder))
    with _unfinished(folder) as new:
        yield new
        _sync_tree(new)
        settle(new, folder)


def settle(made: Path, folder: Path) -> None:
    """Give a folder that is whole its final name, unless another process made the same one in the meantime."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    sync_folder(folder.parent)


def remove(folder: Path, names: re.Pattern[str]) -> bool:
    """Delete of a folder the files with these names, and the folder if nothing else is in it.

    Returns whether it is gone.
    """
    for path in folder.iterdir():
        if names.fullmatch(path.name) and not path.is_dir():
            path.unlink()
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def check_publishable(folder: Path, names: re.Pattern[str], below: Collection[str] = ()) -> None:
    """Make sure that files of these names, relative to `folder`, can be published there; `below` are folders in it.

    Raises `OccupiedError` where one of them stands there that we did not write, or that was changed since.
    """
    check_writable(folder)
    for name in below:
        if (folder / name).exists() and not (folder / name).is_dir():
            raise OccupiedError(f"{folder / name} is a file, where a folder is to be. Move it, or name another folder.")
    ours = _Manifest(folder, names)
    for path in [*folder.glob("*"), *folder.glob("*/*")]:
        name = path.relative_to(folder).as_posix()
        if names.fullmatch(name) and not ours.wrote(name):
            raise OccupiedError(
                f"{path} was not written by foodscene, or was changed since: it is not replaced. "
                "Move it, or name another folder."
            )


@contextmanager
def publishing(folder: Path, names: re.Pattern[str]) -> Iterator[Path]:
    """An empty folder, whose files, of these names, take their places in `folder` when the block ends without an error.

    Those that we published there before are removed then, and nothing else. Which they are is kept in
    `.foodscene.json`, each with its sha256. Raises `DiskFullError`.
    """
    folder = Path(os.path.realpath(folder))
    with explaining_full_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _unfinished(folder / "files") as new:
        yield new
        _sync_tree(new)
        ours = _Manifest(folder, names)
        old = {name for name in ours.files if ours.wrote(name)}
        made = [path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file()]
        # Without a hash while they take their places: a killed process's files are known for ours.
        ours.save({**dict.fromkeys(old), **dict.fromkeys(made)})
        for name in made:
            (folder / name).parent.mkdir(exist_ok=True)
            (new / name).replace(folder / name)
        for name in old.difference(made):
            (folder / name).unlink()
        ours.save({name: hash_file(folder / name) for name in made})


class _Manifest:
    """Which files of a folder we published: `.foodscene.json` in it."""

    def __init__(self, folder: Path, names: re.Pattern[str]) -> None:
        self._folder = folder
        try:
            said = json.loads((folder / MANIFEST).read_bytes())["files"]
        except (OSError, ValueError, KeyError, TypeError):
            said = {}
        # It may have come with the folder from somebody: what we never write is not ours, whatever it says.
        self.files: dict[str, str | None] = {
            name: sha256
            for name, sha256 in (said.items() if isinstance(said, dict) else ())
            if names.fullmatch(name) and isinstance(sha256, str | None)
        }

    def wrote(self, name: str) -> bool:
        """Whether the file of that name is there and is what we wrote."""
        path = self._folder / name
        return name in self.files and path.is_file() and self.files[name] in (None, hash_file(path))

    def save(self, files: dict[str, str | None]) -> None:
        """Say that these are ours, by name, with their sha256 as far as they are whole."""
        self.files = files
        write(self._folder / MANIFEST, (json.dumps({"files": files}, indent=1) + "\n").encode())


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A new empty folder beside `folder`, of its name, that is removed with all that is left in it when the block ends.

    What processes that were killed left there is removed first.
    """
    with explaining_full_disk(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.unfinished-", dir=folder.parent))
        try:
            with (temporary / "new").open("w") as lock:
                with contextlib.suppress(OSError):  # some network folders have no locks
                    fcntl.flock(lock, fcntl.LOCK_EX)
                (temporary / "new").rename(temporary / _LOCK)
                new = temporary / folder.name
                new.mkdir()
                yield new
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Remove what killed processes left when they were making folders in `parent`: what nobody holds the lock of."""
    for left in parent.glob(".*.unfinished-*"):
        folder = parent / left.name[1:].rpartition(".unfinished-")[0]
        try:
            with (left / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (left / _ASIDE).exists() and not folder.exists():
                    (left / _ASIDE).rename(folder)
                shutil.rmtree(left)
        except FileNotFoundError:
            with contextlib.suppress(OSError):  # nothing in it: it was killed before it had its lock
                if time.time() - left.stat().st_mtime > _YOUNG:
                    left.rmdir()
        except OSError:
            continue  # somebody is at work in it


def _carry_over(folder: Path, new: Path, own: Collection[str]) -> None:
    """Bring along what lies in `folder` and is not ours: a second name for the same files where that can be."""
    if not folder.is_dir():
        return
    others = [path for path in folder.iterdir() if path.name not in own and not (new / path.name).exists()]
    for path in others:
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, new / path.name, symlinks=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(path, new / path.name)


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _keep_late_arrivals(old: Path, folder: Path, own: Collection[str] = ()) -> None:
    """Bring along what came into the old folder, or into one in it, while the new one took its place."""
    for path in old.iterdir() if old.is_dir() else ():
        here = folder / path.name
        if path.name in own:
            continue
        if path.is_dir() and here.is_dir() and not path.is_symlink():
            _keep_late_arrivals(path, here)
        elif not os.path.lexists(here):
            path.rename(here)


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders in one step where the system can, else in two; then the old one lies beside `new`."""
    libc = ctypes.CDLL(None, use_errno=True)
    one, other = os.fsencode(new), os.fsencode(old)
    with contextlib.suppress(AttributeError):  # an older system
        if sys.platform == "darwin":
            swapped = libc.renamex_np(one, other, 2) == 0  # RENAME_SWAP
        else:
            swapped = libc.renameat2(-100, one, -100, other, 2) == 0  # AT_FDCWD, RENAME_EXCHANGE
        if swapped:
            return
    old.rename(new.with_name(_ASIDE))
    new.rename(old)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            sync(path)
        elif path.is_dir():
            sync_folder(path)
    sync_folder(folder)
