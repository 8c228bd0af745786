"""The service: what every route works with. It holds no HTTP but the request whose client may go away."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from app.library import Library, Model
from app.problems import Problem, of_photo
from app.scheduler import Job, Pixels, Probabilities, Scheduler
from app.settings import Settings
from app.uploads import Uploads
from models.pixels import PhotoError
from models.ranking import Prediction, rank


@dataclass(frozen=True, slots=True)
class Answer:
    """What one photo was found to be; `milliseconds` from its arrival to this answer."""

    model: str
    predictions: list[Prediction]
    sure: bool
    milliseconds: float

    def as_json(self) -> dict[str, object]:
        """The answer as DESIGN.md draws it."""
        return {
            "model": self.model,
            "predictions": [
                {"label": label, "probability": round(probability, 6)} for label, probability in self.predictions
            ],
            "sure": self.sure,
            "milliseconds": round(self.milliseconds, 2),
        }


class Service:
    """Everything that one server process holds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.library = Library(settings)
        self.scheduler = Scheduler(settings.threads_used, settings.queue, settings.max_batch, settings.max_pixels)
        self.uploads = Uploads(
            int(settings.max_upload_mb * 1e6), int(settings.max_memory_mb * 1e6), settings.deadline_seconds
        )
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return self.library.complete and bool(self.library.models) and not self.draining

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the models and work, until the block ends."""
        self.scheduler.start()
        following = asyncio.create_task(self.library.follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.to_thread(self.scheduler.stop)

    async def predict(self, photo: bytes, model: Model, top_k: int = 5, request: Request | None = None) -> Answer:
        """Say what is on a photo. Raises a `Problem` for one that cannot be used, a full queue, or a missed deadline.

        When the client of `request` goes away, the work is given up and `ClientGone` raised.
        """
        started = time.perf_counter()
        (outcome,) = await self.run(model, [photo], request)
        if isinstance(outcome, Problem):
            raise outcome
        return answer(model, outcome, top_k, started)

    async def run(
        self, model: Model, photos: Sequence[bytes | Pixels], request: Request | None = None
    ) -> list[Probabilities | Problem]:
        """Probabilities, or the problem with it, for each photo: bytes, or pixels of shape (n, height, width, channels)."""
        jobs = self.scheduler.submit(model.runner, photos)
        waiting = asyncio.gather(*(job.answer for job in jobs), return_exceptions=True)
        leaving = asyncio.ensure_future(_client_leaves(request, waiting)) if request else None
        try:
            async with asyncio.timeout(self.settings.deadline_seconds):
                outcomes = await waiting
        except TimeoutError:
            raise Problem(
                "deadline-exceeded", f"No answer within {self.settings.deadline_seconds:g} seconds. Try again."
            ) from None
        except asyncio.CancelledError:
            if leaving and leaving.done():
                raise ClientGone from None
            raise
        finally:
            if leaving:
                leaving.cancel()
        return [_outcome(outcome) for outcome in outcomes]


class ClientGone(Exception):  # noqa: N818 - an event, not an error
    """The client closed the connection: nobody waits for the answer."""


async def _client_leaves(request: Request, waiting: asyncio.Future[object]) -> None:
    """Give up the work when the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    waiting.cancel()


def _outcome(outcome: Probabilities | BaseException) -> Probabilities | Problem:
    if isinstance(outcome, PhotoError):
        return of_photo(outcome)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def answer(model: Model, probabilities: Probabilities, top_k: int, started: float) -> Answer:
    """The answer for one photo's probabilities of shape (1, classes)."""
    predictions = rank(probabilities[0], model.bundle.labels, top_k)
    return Answer(
        model.name,
        predictions,
        predictions[0].probability >= model.bundle.card.sure_above,
        (time.perf_counter() - started) * 1000,
    )


__all__ = ["Answer", "ClientGone", "Job", "Service", "answer"]
