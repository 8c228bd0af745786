"""How far a job has come: a bar on a terminal, else a line from time to time."""

import time
from contextlib import AbstractContextManager
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn

from foodscene.models.terminal import open_console, say
from foodscene.models.text import duration

_LINE, _BAR = 30.0, 0.5
"""Seconds between two lines, or two changes of the bar."""
_WINDOW = 30.0
"""Seconds over which speed is measured, at least, once there are so many."""


class BulkProgress(AbstractContextManager["BulkProgress"]):
    """Shows photos done, photos a second and the time left, on standard error. `done` were done before."""

    def __init__(self, done: int) -> None:
        console = open_console(stderr=True, markup=True)
        self._bar = (
            Progress(BarColumn(), TextColumn("{task.description}"), console=console, transient=True)
            if console.is_terminal
            else None
        )
        self._task = self._bar.add_task("", total=None) if self._bar else None
        now = time.monotonic()
        self._shown = now if self._bar is None else 0.0
        self._marks = [(now, done)]

    def __enter__(self) -> "BulkProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int, total: int | None) -> None:
        """Say how many photos are done, of how many where that is known."""
        now = time.monotonic()
        if now - self._shown < (_BAR if self._bar else _LINE):
            return
        self._shown = now
        text = describe(done, total, self._rate(now, done))
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=text, completed=done, total=total)
        else:
            say(text, err=True)

    def _rate(self, now: float, done: int) -> float:
        """Photos a second, of late."""
        self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[1][0] > _WINDOW:
            del self._marks[0]
        since, before = self._marks[0]
        return (done - before) / max(now - since, 1e-9)


def describe(done: int, total: int | None, rate: float) -> str:
    """`1,200 of 7,301 photos, 210 a second, 29 s left`."""
    said = f"{done:,} of {total:,} photos" if total is not None else f"{done:,} photos"
    said += f", {rate:,.0f} a second" if rate >= 10 else f", {rate:.1f} a second"
    return f"{said}, {duration((total - done) / rate)} left" if total is not None and rate > 0 else said
