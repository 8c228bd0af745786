"""Processes that decode what is large or suspicious: a thread that is stuck in a decoder's C code cannot be ended.

One is started when it is first needed, used again, ended after a minute without work, and killed when a photo takes
too long. A photo costs a helper what it costs here, and less than 10 ms to get there and back.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np

from foodscene.app.problems import Problem
from foodscene.models.pixels import BrokenPhoto, PhotoError, PhotoTooLarge, Reading, UnsupportedPhoto

_IDLE = 60.0
"""Seconds without work after which a helper ends."""
_BUSY = 5
"""Times the seconds of one core that a photo may take: how long it is waited for on a machine that is busy."""
_START = 10.0
"""Seconds for which a process is waited for that was just started."""
_ERRORS: dict[str, type[PhotoError]] = {kind.__name__: kind for kind in (BrokenPhoto, PhotoTooLarge, UnsupportedPhoto)}
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


class Helpers:
    """At most `most` processes. A photo may take `seconds` of one core and `memory` bytes in one."""

    def __init__(self, most: int, seconds: float, memory: int) -> None:
        self.most, self.seconds, self.memory = most, seconds, memory
        self._turns = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[_Helper] = []
        self._watch: threading.Timer | None = None
        self._closed = False

    def decode(self, photo: bytes, **request: Any) -> Reading:
        """Have a photo decoded; waits until a helper is free. `request` is as `helper` takes it.

        Raises a `PhotoError` as `models.pixels.read_photo` does: `PhotoTooLarge` too for what takes too long or too
        much, `BrokenPhoto` too for what crashes its decoder. Raises `Problem` `overloaded` where no process can be
        started.
        """
        with self._turns:
            helper = self._take()
            try:
                reading = helper.decode(photo, request, self.seconds)
            except ChildProcessError as ended:
                raise self._reason(ended.errno or 0) from None
            finally:
                self._give_back(helper)
        return reading

    def close(self) -> None:
        """End the helpers that are idle; the others end with their photo."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            if self._watch:
                self._watch.cancel()
        for helper in idle:
            helper.end()

    def _take(self) -> "_Helper":
        with self._lock:
            while self._idle:
                helper = self._idle.pop()  # the one that worked last, so that the others get old
                if helper.lives:
                    return helper
                helper.end()
        try:
            return _Helper(self.memory)
        except OSError as error:
            raise Problem("overloaded", "No process can be started to decode it. Try again.", retry_after=5) from error

    def _give_back(self, helper: "_Helper") -> None:
        with self._lock:
            if not self._closed and helper.lives:
                helper.since = time.monotonic()
                self._idle.append(helper)
                self._watch_idle()
                return
        helper.end()

    def _watch_idle(self) -> None:
        if self._idle and self._watch is None:
            self._watch = threading.Timer(_IDLE, self._end_old)
            self._watch.daemon = True
            self._watch.start()

    def _end_old(self) -> None:
        with self._lock:
            old = [helper for helper in self._idle if time.monotonic() - helper.since >= _IDLE]
            self._idle = [helper for helper in self._idle if helper not in old]
            self._watch = None
            self._watch_idle()
        for helper in old:
            helper.end()

    def _reason(self, code: int) -> PhotoError:
        """What a helper's end says of the photo that it had."""
        if code in (-signal.SIGPROF, -signal.SIGKILL):
            return PhotoTooLarge(
                f"The photo takes more than {self.seconds:g} s of one core to decode. "
                "Save it as a baseline JPEG, or send a smaller copy."
            )
        return BrokenPhoto("The image is damaged: its decoder gave up.")


class _Helper:
    """One process. Used by one thread at a time."""

    def __init__(self, memory: int) -> None:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
        environment["OPENBLAS_NUM_THREADS"] = "1"
        self.process = subprocess.Popen(  # noqa: S603 - our own module, and a number
            [sys.executable, "-P", "-m", "foodscene.app.inference.helper", str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.since = 0.0

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def decode(self, photo: bytes, request: dict[str, Any], seconds: float) -> Reading:
        """Raises a `PhotoError`, or `ChildProcessError` with the process's code where it ends."""
        clock = threading.Timer(seconds * _BUSY + (0 if self.since else _START), self.process.kill)
        clock.daemon = True
        clock.start()
        try:
            answer, content = self._ask({**request, "seconds": seconds, "bytes": len(photo)}, photo)
        except (OSError, ValueError):  # a broken pipe, or an answer that stops short
            self.process.kill()
            raise ChildProcessError(self.process.wait(), "the helper has ended") from None
        finally:
            clock.cancel()
        if "error" in answer:
            raise _ERRORS[answer["error"]](answer["detail"])
        return Reading(np.frombuffer(content, np.uint8).reshape(answer["shape"]), answer["truncated"])

    def end(self) -> None:
        """End the process, which waits for a photo or has ended."""
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self.process.kill()
        self.process.wait()

    def _ask(self, request: dict[str, Any], photo: bytes) -> tuple[dict[str, Any], bytes]:
        to, back = self.process.stdin, self.process.stdout
        if to is None or back is None:
            raise OSError("the helper has no pipes")
        to.write(json.dumps(request).encode() + b"\n")
        to.write(photo)
        to.flush()
        answer: dict[str, Any] = json.loads(back.readline())
        size = int(np.prod(answer.get("shape", [0])))
        content = back.read(size)
        if len(content) < size:
            raise ValueError("the answer stops short")
        return answer, content
