"""Out-of-distribution photos: of nothing that a model knows. It should not be sure of any answer for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.bundle import Bundle
from foodscene.models.engine import Engine
from foodscene.models.pixels import InputSpec, PhotoError
from foodscene.models.prediction import is_sure
from foodscene.training.datasets import Dataset, DatasetError, Sample, labelled, open_dataset
from foodscene.training.datasets.archives import open_files
from foodscene.training.datasets.names import plain
from foodscene.training.evaluation import inference, metrics
from foodscene.training.evaluation.evaluation import Evaluation, EvaluationError
from foodscene.training.evaluation.metrics import Share

MOST = 1000
"""Photos that are taken of a data set, evenly over it."""

NOISE = "noise"
"""What pictures of random pixels are called among out-of-distribution photos."""


class Separation(NamedTuple):
    """How well a score tells photos apart from those that the model knows: see `metrics`."""

    auroc: float
    false_alarms: float


class OutOfDistribution(NamedTuple):
    """The photos of one source, and what a model calls them."""

    name: str
    photos: int
    unsure: Share
    """For how many the answer is not called sure."""
    known: Share | None
    """How many are called known; None where the bundle does not say what is familiar."""
    familiarity: Separation | None
    """By how close photos are to what is familiar: None as `known`."""
    probability: Separation
    """By the first label's probability."""

    @property
    def decides(self) -> Separation:
        """By the score that decides what is known."""
        return self.familiarity or self.probability


def measure(
    engine: Engine,
    bundle: Bundle,
    name: str,
    photos: NDArray[np.uint8],
    inside: Evaluation,
) -> OutOfDistribution:
    """What a bundle makes of photos of shape (n, height, width, channels), beside those `inside` its distribution."""
    outputs = inference.look(engine, photos, np.arange(len(photos)))
    highest = outputs.probabilities.max(axis=1)
    sure = is_sure(highest, bundle.card.sure_above)
    known, familiarity = None, None
    if bundle.familiar and outputs.closeness is not None:
        found = bundle.familiar.known(outputs.closeness)
        sure &= found
        known = metrics.share(int(found.sum()), len(photos))
        if inside.closeness is not None:
            familiarity = _separation(inside.closeness, outputs.closeness)
    unsure = metrics.share(int((~sure).sum()), len(photos))
    probability = _separation(inside.probabilities.max(axis=1), highest)
    return OutOfDistribution(name, len(photos), unsure, known, familiarity, probability)


def _separation(inside: NDArray[np.float32], outside: NDArray[np.float32]) -> Separation:
    return Separation(metrics.auroc(inside, outside), metrics.false_alarms(inside, outside))


def noise(spec: InputSpec, count: int = 250) -> NDArray[np.uint8]:
    """Pictures of random pixels, the same at every call: shape (count, height, width, channels), uint8."""
    return np.random.default_rng(0).integers(0, 256, (count, *spec.shape), dtype=np.uint8)


def load_photos(path: Path, spec: InputSpec, labels: Sequence[str], most: int = MOST) -> tuple[str, NDArray[np.uint8]]:
    """The name of a data set, or of a plain folder of photos, and photos of it that show none of the `labels`.

    The name that stands before a path, `animals=photos/`, counts.

    Their shape is (n, height, width, channels), n at most `most`. Photos that cannot be read are left out.
    Raises `DatasetError` where there is no data set, `EvaluationError` where the model knows all that is in it.
    """
    given, path = labelled(path)
    dataset = _open(path)
    known = {plain(label) for label in labels}
    outside = [one for one in dataset.samples if plain(_label(dataset, one)) not in known]
    if not outside:
        raise EvaluationError(f"{path} holds no photos out of distribution: the model knows all of its classes.")
    chosen = np.unique(np.linspace(0, len(outside) - 1, min(most, len(outside))).astype(int)).tolist()
    photos = []
    for index in chosen:
        try:
            photos.append(outside[index].pixels(spec))
        except PhotoError:
            continue
    if not photos:
        raise EvaluationError(f"{path} holds no photo that can be read.")
    return given or dataset.name, np.stack(photos)


def as_json(sets: Sequence[OutOfDistribution]) -> dict[str, Any]:
    """By source, for programs."""
    return {
        one.name: {
            "photos": one.photos,
            "unsure": one.unsure._asdict(),
            "known": one.known._asdict() if one.known else None,
            "familiarity": one.familiarity._asdict() if one.familiarity else None,
            "probability": one.probability._asdict(),
        }
        for one in sets
    }


def _open(path: Path) -> Dataset:
    """A data set in any layout, or photos without classes."""
    try:
        return open_dataset(path)
    except DatasetError:
        files = open_files(path)
        if not files.photos():
            raise
        return Dataset(path.name, "photos", (), [Sample(files, name, name, None) for name in files.photos()])


def _label(dataset: Dataset, sample: Sample) -> str:
    return "" if sample.label is None else dataset.classes[sample.label]
