"""A job from its plan to its table: photos are read ahead, decoded and answered by the service's threads, in order."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foodscene.app.bulk.answers import Answers, Row
from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.parts import Parts, keeping
from foodscene.app.bulk.photos import Photo, Position, Reader
from foodscene.app.bulk.plan import Item, plan
from foodscene.app.bulk.progress import BulkProgress
from foodscene.app.bulk.tables import Table, table_for
from foodscene.app.inference.decoder import Decoder
from foodscene.app.inference.scheduler import Job, Runner, Scheduler
from foodscene.app.inference.second_look import Looked, SecondLook
from foodscene.app.inference.sessions import open_sessions
from foodscene.app.problems import Problem
from foodscene.app.settings import usable_cores
from foodscene.models.bundle import Bundle, BundleError
from foodscene.models.errors import FoodsceneError
from foodscene.models.fallback import Fallback, beside
from foodscene.models.files import DiskFullError
from foodscene.models.pixels import PhotoError, upright_size

_UNDER_WAY, _BYTES = 256, 64_000_000
"""Photos that wait or are worked on, and their bytes: as many as keep all threads busy while a part is written."""
_BATCH = 16
_PART_ROWS, _PART_SECONDS = 2000, 5.0
"""A part is written when it has so many rows, or after so many seconds, which a killed job does once more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to: rows in its table, and how many of those that were made now have no answer.

    `rows` is None where an earlier call had done it all.
    """

    rows: int | None
    failed: int


@dataclass(frozen=True, slots=True)
class _Pending:
    """A photo that is worked on, or the reason why there is nothing to work on."""

    path: str
    after: Position
    bytes: int = 0
    size: tuple[int, int] | None = None
    looked: asyncio.Task[Looked] | None = None
    reason: str = ""

    @property
    def done(self) -> bool:
        return self.looked is None or self.looked.done()


class Labeller:
    """A bundle on the service's own threads, without the service.

    As many threads as there are cores decode and predict; `features` adds these to the answers.
    """

    def __init__(self, bundle: Bundle, top_k: int, *, features: bool = False, threads: int = 0) -> None:
        """Raises `BundleError`, and `BulkError` for a network that has no features."""
        self.answers = Answers(bundle, top_k, features=features)
        self.threads = threads or usable_cores()
        sessions = open_sessions(bundle, "auto", self.threads, "auto", _BATCH)
        blank = np.zeros((1, *bundle.spec.shape), np.uint8)
        if features and sessions.engine.look(blank).features is None:
            raise BulkError(
                f"{bundle.name} has no dense layer, before which its features would be: leave out --features."
            )
        self._runner = Runner(sessions, bundle.spec)
        self._again = SecondLook(bundle, _fallback(bundle, self.threads))

    @property
    def fallback(self) -> str | None:
        """The sha256 of the model of the fallback that is asked, in hexadecimal; None where there is none."""
        return self._again.fallback[0].bundle.sha256 if self._again.fallback else None

    async def rows(self, reader: Reader) -> AsyncGenerator[tuple[Row, Position], None]:
        """A row for each photo, in their order, and where a job goes on after it. Raises `BulkError`."""
        decoder = Decoder()
        scheduler = Scheduler(self.threads, 2 * _UNDER_WAY, _BATCH, decoder)
        scheduler.start()
        pending: deque[_Pending] = deque()
        held = 0
        chunks = reader.chunks()
        ahead = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
        ended: Exception | None = None
        try:
            while True:
                try:
                    chunk = await ahead
                except (BulkError, OSError) as error:  # what was read before it is answered all the same
                    ended = error
                    break
                if chunk is None:
                    break
                ahead = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
                for photo in chunk:
                    pending.append(self._submitted(scheduler, photo))
                    held += pending[-1].bytes
                    while pending and (pending[0].done or len(pending) >= _UNDER_WAY or held > _BYTES):
                        held -= pending[0].bytes
                        yield await self._finished(pending.popleft())
            while pending:
                yield await self._finished(pending.popleft())
        finally:
            ahead.cancel()
            for left in pending:
                if left.looked:
                    left.looked.cancel()
            begun = [left.looked for left in pending if left.looked]
            await asyncio.gather(*begun, ahead, asyncio.to_thread(scheduler.stop), return_exceptions=True)
            decoder.close()
        if ended:
            raise ended

    def _submitted(self, scheduler: Scheduler, photo: Photo) -> "_Pending":
        if isinstance(photo.content, str):
            return _Pending(photo.path, photo.after, reason=photo.content)
        [job] = scheduler.submit(self._runner, [photo.content])
        looked = asyncio.ensure_future(self._looked(scheduler, job, photo.content))
        return _Pending(photo.path, photo.after, len(photo.content), _size(photo.content), looked)

    async def _looked(self, scheduler: Scheduler, job: Job, photo: bytes) -> Looked:
        """Wait for a job, and for that of the fallback where it is asked."""
        again = None
        try:
            outputs = await job.answer
            again = self._again.begin(scheduler, photo, outputs)
            return self._again.together(outputs, await again.answer if again else None, truncated=job.truncated)
        finally:
            for begun in (job, again):
                if begun:
                    begun.answer.cancel()  # nothing to an answer that is there

    async def _finished(self, photo: "_Pending") -> tuple[Row, Position]:
        if photo.looked is None:
            return self.answers.failed(photo.path, None, photo.reason), photo.after
        try:
            looked = await photo.looked
        except PhotoError as error:
            return self.answers.failed(photo.path, photo.size, str(error)), photo.after
        except Problem as error:  # such as no process for a photo that needs one
            raise BulkError(f"{photo.path}: {error}") from error
        return self.answers.row(photo.path, photo.size, looked), photo.after


def label(labeller: Labeller, paths: Sequence[str], show: Callable[[Row], None]) -> None:
    """Give `show` a row for each photo that paths name, in their order. Raises `BulkError`."""

    async def run() -> None:
        async with aclosing(labeller.rows(Reader(plan(paths), sources=paths))) as rows:
            async for row, _ in rows:
                show(row)

    asyncio.run(run())


def write_table(labeller: Labeller, bundle: Bundle, paths: Sequence[str], output: Path) -> Outcome:
    """Write what `labeller` says of the photos that paths name to a table, or go on with one that was begun.

    Raises `BulkError`, `OccupiedError`, `DiskFullError` and `KeyboardInterrupt`, after all of which the same call goes
    on; what had been done before them is kept.
    """
    columns = labeller.answers.columns
    about = {"model": bundle.name, "sha256": bundle.sha256}
    table = table_for(output, columns, about)
    job = {
        "model": [bundle.name, bundle.sha256, bundle.card.as_json(), list(bundle.labels), labeller.fallback],
        "columns": list(columns),
        "photos": [path if "://" in path else str(Path.cwd() / path) for path in paths],
    }
    with keeping(output, job) as parts:
        if parts.published:  # killed before it could clear up
            parts.remove()
            return Outcome(None, 0)
        parts.plan(plan(paths))
        failed = asyncio.run(_Writing(labeller, parts, table, paths).run())
        with parts.writing_whole() as file:
            table.join(parts.paths(), file)
        parts.publish()
        return Outcome(parts.rows, failed)


class _Writing:
    """The middle of a job: from a plan to all parts."""

    def __init__(self, labeller: Labeller, parts: Parts, table: Table, paths: Sequence[str]) -> None:
        self._labeller, self._parts, self._table = labeller, parts, table
        self._reader = Reader(parts.items(), parts.position, paths)
        self._known, self._tars = _totals(parts.items())
        self._rows: list[Row] = []
        self._after = parts.position

    async def run(self) -> int:
        """Returns how many photos had no answer."""
        failed, since = 0, time.monotonic()
        with BulkProgress(self._parts.rows) as progress:
            try:
                async with aclosing(self._labeller.rows(self._reader)) as rows:
                    async for row, after in rows:
                        self._rows.append(row)
                        self._after = after
                        failed += row["error"] is not None
                        now = time.monotonic()
                        if len(self._rows) >= _PART_ROWS or now - since >= _PART_SECONDS:
                            self._keep()
                            since = now
                        progress.update(self._parts.rows + len(self._rows), self._total())
            except DiskFullError:
                raise
            except (asyncio.CancelledError, KeyboardInterrupt, FoodsceneError, OSError):
                self._keep()
                raise
            self._keep()
        return failed

    def _keep(self) -> None:
        rows, self._rows = self._rows, []  # first, so that an interrupt on the way loses them and keeps none twice
        if rows:
            self._parts.add(self._table.part(rows), len(rows), self._after)

    def _total(self) -> int | None:
        """Photos of the whole plan, as far as is known: archives are taken to hold as many a byte as those read."""
        if not self._tars:
            return self._known
        if not self._reader.tar_bytes:
            return None
        return self._known + round(self._tars * self._reader.tar_photos / self._reader.tar_bytes)


def _totals(items: Iterator[Item]) -> tuple[int, int]:
    """Photos that are counted in a plan, and bytes of the archives in which they are not."""
    photos = size = 0
    for item in items:
        if item.photos is None:
            size += item.size or 0
        else:
            photos += item.photos
    return photos, size


def _fallback(bundle: Bundle, threads: int) -> tuple[Fallback, Runner] | None:
    """The fallback beside a bundle as the scheduler sees it; None where there is none that could be asked."""
    try:
        found = beside(bundle)
        sessions = open_sessions(found.bundle, "auto", threads, "auto", _BATCH) if found else None
    except BundleError:
        return None
    return (found, Runner(sessions, found.bundle.spec)) if found and sessions else None


def _size(photo: bytes) -> tuple[int, int] | None:
    try:
        return upright_size(photo)
    except PhotoError:
        return None
