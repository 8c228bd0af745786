"""Who is at work in a folder that several processes share, on one machine or more: one at a time, alive or gone."""

import contextlib
import fcntl
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from optuna.storages.journal import JournalFileSymlinkLock


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time, on whichever machine."""
    lock = JournalFileSymlinkLock(str(folder / "tickets"))
    (folder / "tickets").touch()
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def alive(folder: Path) -> Iterator[str]:
    """A name under which this process is known to be alive: it holds a lock, which the system takes from a dead one."""
    path = folder / "workers" / f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path.name
        path.unlink()


def is_gone(folder: Path, worker: str) -> bool:
    """Whether the process of that name is dead. One on another machine is taken to be alive."""
    if worker.rpartition("-")[0] != socket.gethostname():
        return False
    try:
        with (folder / "workers" / worker).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True
