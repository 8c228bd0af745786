"""Familiarity: how near a photo lies to those that a model learned from, among the features before its last layer.

The features of training photos, brought to unit length, are condensed to some prototypes; a photo's score is its
largest cosine to any of them. K. Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples",
2018, and Y. Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", 2022, do it with Gaussians and
with all photos. A model's probabilities only say which of its labels is the likeliest, whatever is in the photo.
"""

import zipfile
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError

KEPT = 0.95
"""The share of validation photos that are to be called known."""
FEWEST = 40
"""Validation photos below which their twentieth is chance: two of them decide."""
MOST_PROTOTYPES = 1000
MOST_PHOTOS = 20_000
"""Training photos whose features are looked at, evenly over them; more change the prototypes little."""

_STEPS = 100
"""Quantiles that are kept of the validation photos' scores, less one."""
_ROUNDS = 10
"""Of k-means, which has come to rest by then but for a few photos."""
_LARGEST = 8_000_000
"""Values of all prototypes together: 16 MB as they are kept."""

Features = NDArray[np.floating[Any]]
"""Shape (n, features)."""


class FamiliarityError(FoodsceneError, ValueError):
    """A file that holds no familiarity, or photos that give none. Its text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """What is familiar to a model."""

    prototypes: NDArray[np.float32]
    """Shape (prototypes, features): rows of length 1."""
    quantiles: NDArray[np.float32]
    """Shape (q,), ascending: the validation photos' scores, at evenly spaced shares of them."""
    known_above: float
    """The share of validation photos, 0 to 1, that must be less familiar than a photo that is known."""

    def of(self, features: Features) -> NDArray[np.float32]:
        """The share of validation photos that are less familiar, 0 to 1, for each row of `features`: shape (n,)."""
        shares = np.linspace(0, 1, len(self.quantiles))
        return np.interp(self.scores(features), self.quantiles, shares).astype(np.float32)

    def scores(self, features: Features) -> NDArray[np.float32]:
        """The largest cosine to a prototype, -1 to 1, for each row of `features`: shape (n,).

        Raises `FamiliarityError` for features of another model, which are of another number.
        """
        if features.shape[-1] != self.prototypes.shape[1]:
            raise FamiliarityError(
                f"its prototypes have {self.prototypes.shape[1]:,} values, and the features {features.shape[-1]:,}"
            )
        return np.asarray((_unit(features) @ self.prototypes.T).max(axis=1), dtype=np.float32)

    def as_bytes(self) -> bytes:
        """What `familiar.npz` holds."""
        file = BytesIO()
        np.savez_compressed(
            file,
            prototypes=self.prototypes.astype(np.float16),
            quantiles=self.quantiles,
            known_above=np.float64(self.known_above),
        )
        return file.getvalue()


def read(content: bytes) -> Familiarity:
    """The familiarity in the bytes of a `familiar.npz`. Raises `FamiliarityError`; nothing is unpickled."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > 2 * _LARGEST:
                raise FamiliarityError("it unpacks to more than any model's prototypes take")
        with np.load(BytesIO(content), allow_pickle=False) as held:
            prototypes, quantiles = (held[name].astype(np.float32) for name in ("prototypes", "quantiles"))
            known_above = float(held["known_above"])
    except FamiliarityError:
        raise
    except Exception as error:  # NumPy and zipfile raise whatever damage leads them to
        raise FamiliarityError(f"it is damaged: {error}") from error
    if prototypes.ndim != 2 or not 0 < prototypes.size <= _LARGEST or quantiles.ndim != 1 or len(quantiles) < 2:
        raise FamiliarityError("its arrays have not the shapes of prototypes and quantiles")
    finite = np.isfinite(prototypes).all() and np.isfinite(quantiles).all() and (np.diff(quantiles) >= 0).all()
    if not (finite and 0 <= known_above <= 1):
        raise FamiliarityError("its values are none that prototypes, quantiles and a share can have")
    return Familiarity(_unit(prototypes), quantiles, known_above)


def fit(
    features: Features, labels: NDArray[np.int64], validation: Features, parts: NDArray[np.int64] | None = None
) -> Familiarity:
    """What is familiar to a model, by the `features` of training photos, of the classes `labels`, and of `validation`.

    Of the validation photos of each data set, by `parts`, a number for each photo, `KEPT` are known. Raises
    `FamiliarityError` where `suffices` says no.
    """
    found = np.unique(labels)
    if not suffices(len(validation), len(found), features.shape[1]):
        raise FamiliarityError(
            f"{len(validation)} validation photos are too few, as {FEWEST} at least are needed, or {len(found):,} "
            f"classes with {features.shape[1]:,} features each are too many"
        )
    most = max(1, min(MOST_PROTOTYPES, _LARGEST // features.shape[1]) // len(found))
    unit = _unit(features)
    prototypes = np.concatenate([_centres(unit[labels == label], most) for label in found])
    prototypes = _unit(prototypes.astype(np.float16))  # as they are kept
    begun = Familiarity(prototypes, np.zeros(2, np.float32), 0)
    scores = begun.scores(validation)
    shares = np.linspace(0, 1, _STEPS + 1)
    told = Familiarity(prototypes, np.quantile(scores, shares).astype(np.float32), 0)
    each = [scores if parts is None else scores[parts == part] for part in ([0] if parts is None else np.unique(parts))]
    # The smallest of a few photos is not the twentieth of many: rounded so that no more than that are left out.
    lowest = min(np.quantile(one, 1 - KEPT, method="lower") for one in each)
    known_above = float(np.interp(lowest, told.quantiles, shares))
    return Familiarity(prototypes, told.quantiles, max(0.0, known_above - 1e-6))


def suffices(validation: int, classes: int, features: int) -> bool:
    """Whether `fit` can say what is familiar, from so many validation photos, for so many classes and features."""
    return validation >= FEWEST and classes * features <= _LARGEST


def evenly(count: int, most: int = MOST_PHOTOS) -> NDArray[np.int64]:
    """Up to `most` of `count` photos, evenly over them, ascending."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64)) if count else np.zeros(0, np.int64)


def _unit(features: Features) -> NDArray[np.float32]:
    values = np.asarray(features, dtype=np.float32)
    unit: NDArray[np.float32] = values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
    return unit


def _centres(unit: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Spherical k-means of rows of length 1 (Dhillon and Modha, 2001): up to `most` centres, begun evenly over them.

    There is one for every five photos at most.
    """
    centres = unit[evenly(len(unit), max(1, min(most, len(unit) // 5)))]
    for _ in range(_ROUNDS):
        nearest = (unit @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, unit)
        used = np.bincount(nearest, minlength=len(centres)) > 0
        centres = np.where(used[:, np.newaxis], _unit(sums), centres)
    return centres
