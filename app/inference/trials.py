"""Bundles are tried in a process before they are loaded here: what hangs in C code cannot be ended otherwise."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from foodscene.app.settings import Settings
from foodscene.models.bundle import BundleError

_GRACE = 5  # seconds after its time in which a process ends itself, if the service is not there to do it


class TooSlow(BundleError):
    """A bundle that was not loaded in the time that it had."""


class CannotTry(BundleError):
    """There was no process to try a bundle in, which says nothing of the bundle."""


class Trials:
    """Tries bundles, one at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def run(self, folder: Path, seconds: float) -> None:
        """Load a bundle in another process as it would be loaded here.

        Raises `BundleError` where it cannot be, or ends its process; `TooSlow` where it takes longer than `seconds`;
        `CannotTry` where there can be no process.
        """
        process = self._start(folder, seconds)
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TooSlow(
                f"{folder.name} is not loaded after {seconds:g} s. If you trust it, raise FOODSCENE_LOAD_SECONDS."
            ) from None
        finally:
            process.kill()
            process.communicate()
        if self._closed:
            raise _stopping(folder)
        if process.returncode or not said:
            raise BundleError(
                f"{folder.name} ends the process that loads it ({_end(process.returncode)}): it is damaged, or takes "
                f"more than the {self._settings.load_memory_mb:,.0f} MB of FOODSCENE_LOAD_MEMORY_MB."
            )
        if refused := json.loads(said)["refused"]:
            raise BundleError(refused)

    def close(self) -> None:
        """End the process that is at work; no other is started."""
        with self._lock:
            self._closed = True
            if self._process:
                self._process.kill()

    def _start(self, folder: Path, seconds: float) -> "subprocess.Popen[bytes]":
        settings = self._settings
        request = {
            "folder": str(folder),
            "engine": settings.engine,
            "threads": settings.threads_used,
            "scheduling": settings.scheduling,
            "max_batch": settings.max_batch,
            "memory": int(settings.load_memory_mb * 1e6),
            "seconds": int(seconds) + _GRACE,
        }
        modules = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
        with self._lock:
            if self._closed:
                raise _stopping(folder)
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    [sys.executable, "-P", "-m", "foodscene.app.inference.trial", json.dumps(request)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": modules},
                )
            except OSError as error:
                raise CannotTry(f"{folder.name} waits: no process can be started to try it: {error}") from error
            return self._process


def _stopping(folder: Path) -> BundleError:
    return BundleError(f"{folder.name} is not loaded any more: the service is stopping.")


def _end(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"status {code}"
