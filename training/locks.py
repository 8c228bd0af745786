"""Who is at work in a folder that several processes may share, on one machine or more: one at a time.

A lock is a file that its holder keeps locked by the system, which takes the lock from a dead process. That is not seen
from another machine, so the holder also says in the file who it is, and touches it every few seconds.
"""

import contextlib
import fcntl
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from foodscene.models.errors import FoodsceneError

_BEAT, _GRACE = 10.0, 120.0
"""Seconds between two touches, and without one after which a holder on another machine is taken for dead."""

_TRIES = 3


class Holder(NamedTuple):
    """The process that holds a lock."""

    process: int
    host: str
    system: str
    """The running system that the process is known in: a machine since its last start, whatever its containers'
    names."""
    since: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {self.since}"


class LockedError(FoodsceneError, ValueError):
    """A lock that another process holds. `holder` says which, where that is known."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__(f"It is held by {holder or 'another process'}.")
        self.holder = holder


@contextmanager
def held(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock at `path`, in a folder that exists, until the block ends.

    Raises `LockedError` if another process does, or waits until it does no more.
    """
    file = _acquire(path, wait=wait)
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(file, stop), name="lock", daemon=True)
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()
        path.unlink(missing_ok=True)
        file.close()


def holder(path: Path) -> Holder | None:
    """Who holds the lock at `path`; None if nobody does."""
    try:
        with path.open("r+b") as file:
            return _other(file, path)
    except FileNotFoundError:
        return None


def _acquire(path: Path, *, wait: bool) -> IO[bytes]:
    tries = 0
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        file = os.fdopen(descriptor, "r+b")
        try:
            if other := _other(file, path):
                if (tries := tries + 1) >= _TRIES and not wait:
                    raise LockedError(other)
                file.close()
                time.sleep(0.1)  # somebody who only asks who holds it holds it for a moment
                continue
            if not _is_at(path, file):  # the one that held it removed it in the meantime
                file.close()
                continue
            file.truncate(0)
            file.write(json.dumps(_myself()._asdict()).encode())
            file.flush()
        except BaseException:
            file.close()
            raise
        return file


def _other(file: IO[bytes], path: Path) -> Holder | None:
    """The living process that holds the lock of an open file. Where there is none, the file is locked by us now."""
    said = _read(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return said or _read(file) or Holder(0, "this machine", "", "a moment ago")
    except OSError:  # a network folder without locks
        return said if said and _age(file, path.parent) < _GRACE else None
    # Locked by us: the holder is dead, or is on a machine from which the lock is not seen here.
    if said and said.system != _system() and _age(file, path.parent) < _GRACE:
        return said
    return None


def _read(file: IO[bytes]) -> Holder | None:
    file.seek(0)
    try:
        return Holder(**json.loads(file.read()))
    except (ValueError, TypeError):
        return None
    finally:
        file.seek(0)


def _age(file: IO[bytes], folder: Path) -> float:
    """Seconds since a file was touched, by the clock of whichever machine the folder is on."""
    with tempfile.TemporaryFile(dir=folder) as now:
        now.write(b"now")
        now.flush()
        return os.fstat(now.fileno()).st_mtime - os.fstat(file.fileno()).st_mtime


def _beat(file: IO[bytes], stop: threading.Event) -> None:
    while not stop.wait(_BEAT):
        with contextlib.suppress(OSError):  # the folder may be out of reach for a moment
            os.utime(file.fileno())


def _is_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _myself() -> Holder:
    return Holder(os.getpid(), socket.gethostname(), _system(), time.strftime("%Y-%m-%d %H:%M:%S"))


def _system() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()
