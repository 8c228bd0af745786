"""The second look: a photo of which a model is not sure goes on to the model's fallback, by the same scheduler."""

from dataclasses import dataclass
from typing import NamedTuple

from foodscene.app.inference.scheduler import Job, Pixels, Runner, Scheduler
from foodscene.models.bundle import Bundle
from foodscene.models.engine import Outputs
from foodscene.models.fallback import Fallback, Second, asks


class Looked(NamedTuple):
    """What networks gave for one photo."""

    outputs: Outputs
    second: Second | None = None
    """What the model's fallback gave, where it was asked."""
    truncated: bool = False
    """Whether the photo lacks its end."""


@dataclass(frozen=True, slots=True)
class SecondLook:
    """A bundle, and its fallback as the scheduler sees it; None where there is none that could be asked."""

    bundle: Bundle
    fallback: tuple[Fallback, Runner] | None

    def begin(self, scheduler: Scheduler, photo: bytes | Pixels, outputs: Outputs) -> Job | None:
        """The job that asks the fallback about a photo; None where the bundle is sure. `outputs` are the bundle's."""
        if self.fallback is None or not asks(self.bundle, outputs)[0]:
            return None
        (job,) = scheduler.submit(self.fallback[1], [photo], accepted=True)
        return job

    def together(self, outputs: Outputs, other: Outputs | None, *, truncated: bool) -> Looked:
        """What both gave for a photo; `other` is None where the fallback was not asked."""
        second = Second(self.fallback[0], other) if self.fallback and other else None
        return Looked(outputs, second, truncated)
