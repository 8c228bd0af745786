"""What is familiar to a bundle, found out on the photos of data sets: `models.familiarity` on an engine's features."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from foodscene.models import familiarity
from foodscene.models.bundle import Bundle
from foodscene.models.engine import Engine, Outputs
from foodscene.models.familiarity import Familiarity, FamiliarityError
from foodscene.training.data.load import Data
from foodscene.training.evaluation import inference
from foodscene.training.evaluation.outputs import look

MOST = 20_000
"""Photos of each data set of which training features are taken, evenly over it: twenty for a prototype."""


def learn(bundle: Bundle, engine: Engine, photos: Sequence[Data], validation: Sequence[Outputs]) -> Familiarity:
    """What is familiar to a bundle: of the training photos of data sets, and its outputs for their validation photos.

    These come an array for each data set. Raises `FamiliarityError` where they are too few, or the network has no dense
    layer whose features could be compared.
    """
    features, labels = [], []
    for data in photos:
        rows = spread(inference.labelled_rows(bundle.labels, data, data.train), MOST)
        if len(rows):
            features.append(_features(bundle, look(engine, data.pixels, rows)))
            labels.append(inference.match(data.classes, bundle.labels)[data.labels[rows]])
    if not features:
        raise FamiliarityError("There are no training photos to say by what is familiar.")
    found = [_features(bundle, outputs) for outputs in validation]
    return familiarity.fit(np.concatenate(features), np.concatenate(labels), found, bundle.sha256)


def validated(bundle: Bundle, engine: Engine, photos: Sequence[Data]) -> list[Outputs]:
    """A bundle's outputs for the validation photos, an array for each data set, at most `MOST` photos of each."""
    return [
        look(engine, data.pixels, spread(rows, MOST))
        for data in photos
        for rows in by_part(data, inference.labelled_rows(bundle.labels, data, data.validation))
        if len(rows)
    ]


def spread(values: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of the values, evenly over them."""
    return values[np.linspace(0, max(0, len(values) - 1), min(most, len(values))).astype(np.int64)]


def by_part(data: Data, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The rows of each of the data sets that `data` unites, apart."""
    if data.parts is None:
        yield rows
        return
    for part in np.unique(data.parts[rows]):
        yield rows[data.parts[rows] == part]


def _features(bundle: Bundle, outputs: Outputs) -> NDArray[np.float32]:
    if outputs.features is None:
        raise FamiliarityError(f"{bundle.name} has no dense layer at its end, whose features could be compared.")
    return outputs.features
