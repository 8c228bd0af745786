"""The service: what every route works with. It holds no HTTP but the request whose client may go away."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from foodscene.app.feedback import Corrections
from foodscene.app.inference.deadline import Deadline
from foodscene.app.inference.decoder import Decoder
from foodscene.app.inference.registry import Model, Registry
from foodscene.app.inference.scheduler import Job, Scheduler
from foodscene.app.inference.turns import Turns
from foodscene.app.metrics import PHOTOS
from foodscene.app.problems import Problem, of_photo
from foodscene.app.server.drain import THREADS_SECONDS, drained_on_sigterm
from foodscene.app.server.memory import give_back_freed
from foodscene.app.settings import Settings
from foodscene.app.uploads import Uploads
from foodscene.models import answer as answers
from foodscene.models.engine import Outputs
from foodscene.models.pixels import PhotoError
from foodscene.models.prediction import Prediction, is_sure


@dataclass(frozen=True, slots=True)
class PhotoAnswer:
    """What one photo was found to be; `milliseconds` from its arrival to this answer.

    `truncated` says that the photo lacks its end; `reliance` has `known`, `familiarity` and `set` as far as the model's
    bundle can say them: see `models.answer`. Where each label is answered by itself, `sure_above` is the
    probability from which on it is called sure.
    """

    model: str
    predictions: list[Prediction]
    sure: bool
    milliseconds: float
    truncated: bool = False
    sure_above: float | None = None
    reliance: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The answer as DESIGN.md draws it."""
        return {
            "model": self.model,
            "predictions": [
                {"label": label, "probability": round(probability, 6)}
                | ({} if self.sure_above is None else {"sure": self._relied_on(probability, self.sure_above)})
                for label, probability in self.predictions
            ],
            **self.reliance,
            "sure": self.sure,
            "milliseconds": round(self.milliseconds, 2),
            **({"truncated": True} if self.truncated else {}),
        }

    def _relied_on(self, probability: float, sure_above: float) -> bool:
        return is_sure(probability, sure_above) and self.reliance.get("known") is not False


class Service:
    """Everything that one server process holds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = Registry(settings)
        self.decoder = Decoder(
            settings.limits,
            helpers=settings.helpers,
            seconds=settings.max_decoding_seconds,
            memory=int(settings.max_decoding_mb * 1e6),
        )
        self.scheduler = Scheduler(settings.threads_used, settings.queue, settings.max_batch, self.decoder)
        self.explanations = Turns("explanations", settings.side_queue)
        self.previews = Turns("previews", settings.side_queue)
        self.corrections = Turns("corrections", settings.side_queue)
        self.kept = Corrections(settings.feedback, int(settings.max_feedback_mb * 1e6)) if settings.feedback else None
        self.uploads = Uploads(
            int(settings.max_upload_mb * 1e6),
            int(settings.max_memory_mb * 1e6),
            settings.deadline_seconds,
            most_parts=max(200, settings.max_files + 10),
        )
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return self.registry.complete and bool(self.registry.models) and not self.draining

    def drain(self) -> None:
        """Say that requests should be sent elsewhere; the ones that come all the same are answered."""
        self.draining = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the models and work, until the block ends."""
        give_back_freed()
        self.scheduler.start()
        following = asyncio.create_task(self.registry.follow())
        try:
            with drained_on_sigterm(self.drain, self.settings.drain_seconds):
                yield
        finally:
            following.cancel()
            self.registry.close()
            await asyncio.to_thread(self.scheduler.stop, THREADS_SECONDS)
            self.decoder.close()

    async def predict(self, photo: bytes, model: Model, top_k: int = 5, request: Request | None = None) -> PhotoAnswer:
        """Say what is on a photo. Raises a `Problem` for one that cannot be used, a full queue, or a missed deadline.

        When the client of `request` goes away, the work is given up and `ClientGone` raised.
        """
        started = time.perf_counter()
        jobs = self.scheduler.submit(model.runner, [photo])
        (outcome,) = await self.finish(jobs, request)
        if isinstance(outcome, Problem):
            try:
                raise outcome
            finally:
                del outcome  # it leads back to this frame, and would keep the photo until garbage is collected
        return answer(model, outcome, top_k, started, truncated=jobs[0].truncated)

    async def finish(self, jobs: Sequence[Job], request: Request | None = None) -> list[Outputs | Problem]:
        """Wait for jobs, until the deadline: as `outcomes`. Raises as `predict` does."""
        async with self.deadline(request):
            return await self.outcomes(jobs)

    def deadline(self, request: Request | None) -> Deadline:
        """The time that an answer may take, once the request's body is there."""
        return Deadline(request, self.settings.deadline_seconds)

    async def outcomes(self, jobs: Sequence[Job]) -> list[Outputs | Problem]:
        """Wait for jobs: what the engine gives for each, or the problem with its photo.

        When it is cancelled, the jobs are given up.
        """
        try:
            return [await _outcome(job) for job in jobs]
        finally:
            for job in jobs:
                job.answer.cancel()  # nothing to an answer that is there


async def _outcome(job: Job) -> Outputs | Problem:
    try:
        return await job.answer
    except PhotoError as error:
        error.__traceback__ = None  # it leads back to the job, and would keep the photo until garbage is collected
        return of_photo(error)


def answer(model: Model, outputs: Outputs, top_k: int, started: float, *, truncated: bool = False) -> PhotoAnswer:
    """The answer for what the engine gave for one photo, begun at `time.perf_counter()` `started`."""
    PHOTOS.labels(model.name).inc()
    bundle = model.bundle
    found = answers.answer(bundle, outputs, top_k)
    said = answers.reliance(bundle, found)
    each = bundle.card.sure_above if bundle.output == "multi_label" else None
    milliseconds = (time.perf_counter() - started) * 1000
    return PhotoAnswer(model.name, found.predictions, found.sure, milliseconds, truncated, each, said)
