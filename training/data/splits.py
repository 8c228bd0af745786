"""Which photo is for training, for validation and for the test.

A photo's split is a function of its content, of the seed and of nothing else: neither the machine, nor the order of the
files, nor the other photos. Where archives have one photo at several sizes, as those of Food-101, its name stands for
its content. In classes of few photos, where chance would leave shares far from what is asked for, they
are exact: the photos' order is still that of their contents. Copies are then kept from standing on both sides.
"""

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from foodscene.training.datasets import DatasetError, Split

SPLITS: tuple[Split, Split, Split] = ("train", "validation", "test")
"""In the order of the codes 0, 1, 2; where copies stand in two of them, the later one keeps its photo."""

FEW = 200
"""Photos of a class below which its shares are exact: above, chance leaves a tenth within 2 % in 19 of 20 classes."""

Fractions = tuple[float, float, float]
"""Shares of training, validation and test."""


def assign(
    contents: Sequence[bytes],
    own: Sequence[Split | None],
    *,
    fractions: Fractions = (0.7, 0.2, 0.1),
    seed: int = 0,
    labels: Sequence[int | None] | None = None,
) -> NDArray[np.int64]:
    """The split of every photo, as an index into `SPLITS`, shape (n,).

    `contents` are the hashes of the photos' bytes, or names. A photo's `own` split is kept, except that splits which no
    photo has are taken from the training side, in the proportion of `fractions`. With `labels`, of each class of
    fewer than `FEW` photos exactly these shares are taken, a photo of each split at least where there are as many.
    Raises `ValueError` for meaningless fractions.
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
    few = _few(own, labels) if labels else {}
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
    for positions in few.values():
        split = own[positions[0]]
        parts = {code: share[code] / (total if split else 1) for code in (cut if split else (2, 1))}
        in_order = sorted(positions, key=lambda position: _uniform(contents[position], seed))
        assigned[positions] = 0
        begin = 0
        for code, part in parts.items():
            count = _exactly(part, len(positions), len(parts))
            assigned[in_order[begin : begin + count]] = code
            begin += count
    return assigned


def _few(own: Sequence[Split | None], labels: Sequence[int | None]) -> dict[tuple[int, bool], list[int]]:
    """The photos that are to be divided, of each class of fewer than `FEW` of them."""
    groups: defaultdict[tuple[int, bool], list[int]] = defaultdict(list)
    for position, (split, label) in enumerate(zip(own, labels, strict=True)):
        if split not in ("validation", "test") and label is not None:
            groups[label, split is None].append(position)
    return {key: positions for key, positions in groups.items() if len(positions) < FEW}


def _exactly(share: float, photos: int, parts: int) -> int:
    """How many of so many photos a share is; one at least, where each part and the training can have one."""
    return max(round(share * photos), int(share > 0 and photos > parts))


def leaked(assigned: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which photos must go because a copy of theirs, one of the same group, stands in a later split. Shape (n,)."""
    latest = np.full(int(groups.max(initial=-1)) + 1, -1)
    np.maximum.at(latest, groups, assigned)
    return np.asarray(assigned < latest[groups])


def _uniform(content: bytes, seed: int) -> float:
    """A number in [0, 1) that the content and the seed decide."""
    return int.from_bytes(sha256(f"{seed}:".encode() + content).digest()[:7], "big") / 2**56
