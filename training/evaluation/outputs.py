"""What engines give for many photos: a bundle's own, and its fallback's for those of which it is not sure."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models import fallback
from foodscene.models.bundle import Bundle
from foodscene.models.engine import Engine, Outputs
from foodscene.models.fallback import Fallback, Second
from foodscene.models.pixels import InputSpec, PhotoError, refit
from foodscene.training.data.load import Data
from foodscene.training.datasets import Sample
from foodscene.training.terminal import tracked

_BATCH = 32

Again = Callable[[NDArray[np.int64], InputSpec], NDArray[np.uint8]]
"""Some of a batch's photos, by their places in it, as another network takes them."""


class Seen(NamedTuple):
    """What a bundle, and its fallback, gave for n photos."""

    outputs: Outputs
    second: Second | None
    """Of those of which the bundle is not sure, in their order; None where no fallback was asked."""

    def known(self, bundle: Bundle) -> NDArray[np.bool_] | None:
        """Which of the photos the bundle calls known, shape (n,); None where it does not say."""
        return fallback.known(bundle, self.outputs, self.second)

    def shares(self, bundle: Bundle) -> NDArray[np.float64]:
        """What the rule of a fallback takes of the photos that it was asked about: see `models.fallback.shares`."""
        if self.second is None:
            return np.empty((0, 3))
        return fallback.shares(bundle, self.outputs, ~fallback.sure(bundle, self.outputs), self.second)


class Looking(NamedTuple):
    """A bundle with its engine, and its fallback with that one's; without one, familiarity alone says what is known."""

    bundle: Bundle
    engine: Engine
    beside: tuple[Fallback, Engine] | None = None

    def at_pixels(self, pixels: NDArray[np.uint8], name: str) -> Seen:
        """At pictures of the bundle's size, shape (n, height, width, channels); the fallback gets them scaled."""

        def batches() -> Iterator[tuple[NDArray[np.uint8], Again]]:
            for start in range(0, len(pixels), _BATCH):
                part = pixels[start : start + _BATCH]
                yield part, _scaling(part)

        return self._seen(batches(), len(pixels), f"Looking at {name}")

    def at_rows(self, data: Data, rows: NDArray[np.int64]) -> Seen:
        """At the photos `data.pixels[rows]`, which are decoded anew for the fallback."""

        def batches() -> Iterator[tuple[NDArray[np.uint8], Again]]:
            for start in range(0, len(rows), _BATCH):
                part = rows[start : start + _BATCH]
                samples = [data.samples[row] for row in part] if self.beside else []
                yield np.asarray(data.pixels[part]), _decoding(samples)

        return self._seen(batches(), len(rows), f"Looking at {data.name}")

    def at_samples(self, samples: Sequence[Sample], name: str) -> Seen:
        """At photos of a data set of that `name`, which are decoded for it; not at broken ones."""

        def batches() -> Iterator[tuple[NDArray[np.uint8], Again]]:
            for start in range(0, len(samples), _BATCH):
                read = [(sample, _pixels(sample, self.bundle.spec)) for sample in samples[start : start + _BATCH]]
                whole = [(sample, pixels) for sample, pixels in read if pixels is not None]
                if whole:
                    yield np.stack([pixels for _, pixels in whole]), _decoding([sample for sample, _ in whole])

        return self._seen(batches(), len(samples), f"Looking at {name}")

    def _seen(self, batches: Iterable[tuple[NDArray[np.uint8], Again]], photos: int, title: str) -> Seen:
        first: list[Outputs] = []
        second: list[Outputs] = []
        for pixels, again in tracked(batches, math.ceil(photos / _BATCH), title):
            first.append(self.engine.look(pixels))
            if self.beside:
                other, engine = self.beside
                asked = np.flatnonzero(~fallback.sure(self.bundle, first[-1]))
                if len(asked):
                    second.append(engine.look(again(asked, other.bundle.spec)))
        if self.beside is None:
            return Seen(_together(first), None)
        return Seen(_together(first), Second(self.beside[0], _together(second)))


def opened(bundle: Bundle, engine: Engine) -> Looking:
    """A bundle's engine with the fallback that lies beside it, if its card names one that can be asked."""
    return Looking(bundle, engine, fallback.open_beside(bundle))


def look(engine: Engine, pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> Outputs:
    """All that one engine makes of the photos `pixels[rows]`, of which there is one at least."""
    starts = range(0, len(rows), _BATCH)
    shown = tracked(starts, len(starts), "What the model answers")
    return _together([engine.look(np.asarray(pixels[rows[start : start + _BATCH]])) for start in shown])


def _scaling(pixels: NDArray[np.uint8]) -> Again:
    return lambda places, spec: refit(pixels[places], spec)


def _decoding(samples: Sequence[Sample]) -> Again:
    return lambda places, spec: np.stack([samples[place].pixels(spec) for place in places])


def _pixels(sample: Sample, spec: InputSpec) -> NDArray[np.uint8] | None:
    try:
        return sample.pixels(spec)
    except PhotoError:
        return None


def _together(parts: Sequence[Outputs]) -> Outputs:
    """The outputs of all batches; of none, without labels."""
    if not parts:
        return Outputs(np.empty((0, 0), np.float32))
    closeness = [one.closeness for one in parts if one.closeness is not None]
    features = [one.features for one in parts if one.features is not None]
    return Outputs(
        np.concatenate([one.probabilities for one in parts]),
        np.concatenate(features) if features else None,
        np.concatenate(closeness) if closeness else None,
    )
