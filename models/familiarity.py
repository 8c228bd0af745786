"""Familiarity: whether a photo is of the kind that a model was trained on, by its features' nearest prototype.

The features are what enters a network's last dense layer. Prototypes are means of those of training photos, of unit
length, found class by class by spherical k-means (Dhillon and Modha, "Concept Decompositions for Large Sparse Text Data
Using Clustering", 2001). A photo's closeness is the largest cosine of its features to a prototype, -1 to 1, as nearest
neighbours in feature space tell strange photos apart (Sun et al., "Out-of-Distribution Detection with Deep Nearest
Neighbors", 2022). Validation photos say how close is usual.
"""

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError

PROTOTYPES = 1000
"""Of all classes together, unless there are more classes: each has one at least."""

MOST_BYTES = 8_000_000
"""Of the prototypes, in half precision: 1,000 of 4,000 features. Of longer features there are fewer."""

KEPT = 0.95
"""The share of the validation photos that counts as known, of each data set where there were several."""

LEAST = 20
"""Validation photos below which nothing is said: of fewer, a share of 95 in 100 cannot be told from all of them."""

_QUANTILES = 1001
_SHARES = np.linspace(0, 1, _QUANTILES)
_ROUNDS = 10


class FamiliarityError(FoodsceneError, ValueError):
    """Familiarity that cannot be found out, or a file of it that is wrong. Its text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """What is familiar to one model."""

    prototypes: NDArray[np.float16]
    """Shape (prototypes, features), each of unit length."""
    quantiles: NDArray[np.float32]
    """Shape (1001,), ascending: the closeness of validation photos, from the least to the most familiar one."""
    threshold: float
    """The closeness from which on a photo is known."""
    photos: tuple[int, int]
    """On how many photos it stands: training photos for the prototypes, validation photos for the rest."""
    sha256: str
    """Of the file of the model whose features these are, in hexadecimal."""

    def closeness(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The largest cosine to a prototype, -1 to 1, shape (n,), of features of shape (n, features)."""
        return _closeness(self.prototypes, features)

    def familiarity(self, closeness: NDArray[np.float32]) -> NDArray[np.float64]:
        """The share of validation photos that are less familiar, 0 to 1, shape (n,)."""
        return np.interp(closeness, self.quantiles, _SHARES)

    def known(self, closeness: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which photos are known, shape (n,)."""
        return np.asarray(closeness >= self.threshold)

    def as_bytes(self) -> bytes:
        """What `familiar.npz` holds."""
        file = BytesIO()
        np.savez(
            file,
            prototypes=self.prototypes,
            quantiles=self.quantiles,
            threshold=np.array([self.threshold], np.float64),
            photos=np.array(self.photos, np.int64),
            sha256=np.frombuffer(bytes.fromhex(self.sha256), np.uint8),
        )
        return file.getvalue()


def fit(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    validation: Sequence[NDArray[np.float32]],
    sha256: str,
) -> Familiarity:
    """What is familiar to the model of that `sha256`.

    `features` are those of training photos, shape (n, features), `labels` their classes, shape (n,); `validation` has
    the features of validation photos, an array for each data set. At least `KEPT` of each of these is known.
    Raises `FamiliarityError` where there are too few photos, or too many features for a file.
    """
    count = sum(map(len, validation))
    if count < LEAST or not len(features):
        raise FamiliarityError(
            f"{count} validation photos beside {len(features)} training photos are too few to say what is familiar: "
            f"at least {LEAST} must validate. Of a folder without splits a fifth does, so that {5 * LEAST} photos are "
            "enough."
        )
    found = prototypes(features, labels)
    scores = [np.sort(_closeness(found, part)) for part in validation if len(part)]
    quantiles = np.quantile(np.concatenate(scores), _SHARES).astype(np.float32)
    # Rounded down, so that sums taken in another order do not lose the photo whose closeness it is.
    threshold = min(float(np.floor(part[len(part) - kept(len(part))] * 1e5) / 1e5) for part in scores)
    return Familiarity(found, quantiles, threshold, (len(features), count), sha256)


def kept(photos: int) -> int:
    """Of so many photos, how many are to be known, so that `KEPT` of others like them are expected to be.

    The order statistic of split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random
    World", 2005).
    """
    return min(photos, math.ceil(KEPT * (photos + 1)))


def prototypes(features: NDArray[np.float32], labels: NDArray[np.int64], most: int = PROTOTYPES) -> NDArray[np.float16]:
    """Means of unit length, shape (prototypes, features): of each class as its share of the photos, one at least.

    `features` has shape (n, features), `labels` (n,). There are at most `most`, or as many as there are classes.
    Raises `FamiliarityError` where one of each class would have more than `MOST_BYTES`.
    """
    size = features.shape[1]
    classes, counts = np.unique(labels, return_counts=True)
    room = min(most, MOST_BYTES // (2 * size))
    if room < len(classes) and 2 * size * len(classes) > MOST_BYTES:
        raise FamiliarityError(
            f"{len(classes):,} classes of {size:,} features each are too many to keep what is familiar: "
            f"at most {MOST_BYTES / 1e6:g} MB."
        )
    spare = max(0, room - len(classes))
    shares = np.minimum(counts, 1 + np.floor(spare * counts / counts.sum()).astype(int))
    rng = np.random.default_rng(0)
    unit = _unit(features)
    means = [_clustered(unit[labels == label], int(share), rng) for label, share in zip(classes, shares, strict=True)]
    return np.concatenate(means).astype(np.float16)


def read(content: bytes, sha256: str, size: int | None) -> Familiarity:
    """What `familiar.npz` holds, for the model of that `sha256`, whose features are `size` values.

    Raises `FamiliarityError` for what is no such file, or belongs to another model.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            kept = _array(archive, "prototypes", np.float16, 2)
            quantiles = _array(archive, "quantiles", np.float32, 1)
            threshold = _array(archive, "threshold", np.float64, 1)
            photos = _array(archive, "photos", np.int64, 1)
            belongs = _array(archive, "sha256", np.uint8, 1).tobytes().hex()
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        raise FamiliarityError(f"it cannot be read: {error}") from error
    if belongs != sha256:
        raise FamiliarityError("it was made for another model")
    if kept.shape[1] != size or not len(kept):
        raise FamiliarityError(f"its prototypes have the shape {kept.shape}, and the model has {size} features")
    if (
        len(quantiles) != _QUANTILES
        or (np.diff(quantiles) < 0).any()
        or threshold.shape != (1,)
        or photos.shape != (2,)
    ):
        raise FamiliarityError("its quantiles are not 1,001 ascending numbers with one threshold")
    return Familiarity(kept, quantiles, float(threshold[0]), (int(photos[0]), int(photos[1])), sha256)


def _array(archive: zipfile.ZipFile, name: str, dtype: Any, axes: int) -> NDArray[Any]:
    """An array of a `.npz`, of that type and so many axes, all of it finite. Raises `ValueError`.

    `numpy.load` would make room for whatever size a file claims, and inflate whatever it holds.
    """
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    file = BytesIO(archive.read(member))
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is of another version of NumPy's format")
    shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
    if kind != np.dtype(dtype) or len(shape) != axes or fortran:
        raise ValueError(f"{name} holds {kind} of shape {shape}")
    found = np.frombuffer(file.read(), dtype).reshape(shape)
    if not np.isfinite(found).all():
        raise ValueError(f"{name} holds values that are no numbers")
    return found


def _closeness(prototypes: NDArray[np.float16], features: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((_unit(features) @ prototypes.astype(np.float32).T).max(axis=1))


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of unit length; those that are all zero stay so."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), dtype=np.float32)


def _clustered(unit: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """`count` means of unit length of vectors of unit length, by k-means with the cosine."""
    means = unit[np.sort(rng.choice(len(unit), count, replace=False))]
    for _ in range(_ROUNDS if count > 1 else 1):
        nearest = (unit @ means.T).argmax(axis=1)
        sums = np.zeros_like(means)
        np.add.at(sums, nearest, unit)
        filled = np.bincount(nearest, minlength=count) > 0
        means = np.where(filled[:, None], _unit(sums), means)
    return means
