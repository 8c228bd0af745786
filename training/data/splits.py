"""Which photo is for training, for validation and for the test.

A photo's split is a function of its content, of the seed and of nothing else: neither the machine, nor the order of the
files, nor the other photos. Copies are then kept from standing on both sides.
"""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from foodscene.training.datasets import DatasetError, Split

SPLITS: tuple[Split, Split, Split] = ("train", "validation", "test")
"""In the order of the codes 0, 1, 2; where copies stand in two of them, the later one keeps its photo."""

Fractions = tuple[float, float, float]
"""Shares of training, validation and test."""


def assign(
    contents: Sequence[bytes], own: Sequence[Split | None], *, fractions: Fractions = (0.7, 0.2, 0.1), seed: int = 0
) -> NDArray[np.int64]:
    """The split of every photo, as an index into `SPLITS`, shape (n,).

    `contents` are the hashes of the photos' bytes. A photo's `own` split is kept, except that the splits which no photo
    has are taken from the training side, in the proportion of `fractions`. Raises `ValueError` for meaningless
    fractions.
    """
    if len(fractions) != 3 or min(fractions) < 0 or not 0.999 < sum(fractions) < 1.001 or fractions[0] == 0:
        raise DatasetError(f"The shares of training, validation and test must add up to 1, not {fractions}.")
    given = set(own) - {None}
    missing = [code for code, split in enumerate(SPLITS) if split not in given]
    share = dict(enumerate(fractions))
    # The test part is cut first: it stays the same whatever the share of validation.
    cut = [code for code in (2, 1) if code in missing]
    total = share[0] + sum(share[code] for code in cut)
    assigned = np.zeros(len(contents), dtype=np.int64)
    for position, (content, split) in enumerate(zip(contents, own, strict=True)):
        if split in ("validation", "test"):
            assigned[position] = SPLITS.index(split)
            continue
        chance = _uniform(content, seed)
        for code in cut if split else (2, 1):
            part = share[code] / (total if split else 1)
            if chance < part:
                assigned[position] = code
                break
            chance -= part
    return assigned


def leaked(assigned: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which photos must go because a copy of theirs, one of the same group, stands in a later split. Shape (n,)."""
    latest = np.full(int(groups.max(initial=-1)) + 1, -1)
    np.maximum.at(latest, groups, assigned)
    return np.asarray(assigned < latest[groups])


def _uniform(content: bytes, seed: int) -> float:
    """A number in [0, 1) that the content and the seed decide."""
    return int.from_bytes(sha256(f"{seed}:".encode() + content).digest()[:7], "big") / 2**56
