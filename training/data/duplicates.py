"""Which photos are copies of one another: byte for byte, or to the eye.

Two photos are near copies where their perceptual hashes differ in at most `NEAR` of 256 bits: saved again, scaled,
brightened, cropped a little, or shot a moment later.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NEAR = 40
"""Chosen by eye: all the pairs of different files at up to 40 bits, 28 in the Intel archive and 4 in ten dishes of
Food-101, show the same view. Unrelated photos differ in 128 bits on average."""

SIDE = 32
_LOW = 16
_COSINES = np.cos(np.pi / (2 * SIDE) * np.outer(np.arange(_LOW), 2 * np.arange(SIDE) + 1)) * (2 / SIDE) ** 0.5
"""The lowest rows of the orthonormal discrete cosine transform; the first, a mean, has another factor."""
_COSINES[0] *= 0.5**0.5
_BLOCK = 2048


def view(photo: NDArray[np.uint8]) -> bytes:
    """The perceptual hash of a gray picture of shape (32, 32), uint8: 32 bytes, none where it is of one colour.

    Whether each of the 16 x 16 lowest frequencies of the discrete cosine transform is above their median, as in pHash
    (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). That has 8 x 8: there,
    simple compositions such as a horizon or a plate collide.
    """
    if photo.std() < 4:
        return b""
    low = (_COSINES @ photo.astype(np.float64) @ _COSINES.T).ravel()
    return np.packbits(low > np.median(low[1:])).tobytes()


def near_pairs(views: Sequence[bytes], near: int = NEAR) -> NDArray[np.int64]:
    """All pairs (i, j), i < j, of photos whose views differ in at most `near` bits. Shape (m, 2)."""
    index = np.array([position for position, seen in enumerate(views) if seen], dtype=np.int64)
    packed = np.frombuffer(b"".join(views), np.uint8).reshape(len(index), _LOW * _LOW // 8)
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for above in range(0, len(index), _BLOCK):
        for below in range(above, len(index), _BLOCK):
            # The product of signs is the number of equal bits less that of different ones.
            agreement = _signs(packed[above : above + _BLOCK]) @ _signs(packed[below : below + _BLOCK]).T
            first, second = np.nonzero(agreement >= _LOW * _LOW - 2 * near)
            first, second = first + above, second + below
            pairs.append(np.stack([index[first], index[second]], axis=1)[first < second])
    return np.concatenate(pairs)


def groups(contents: Sequence[bytes], views: Sequence[bytes]) -> NDArray[np.int64]:
    """A number per photo, shape (n,): the same for copies of each other, directly or by way of others.

    Photos that cannot be read have no content, b"", and are copies of none.
    """
    known: dict[bytes, int] = {}
    each = (content or b"unread %d" % position for position, content in enumerate(contents))
    # The first of those that a photo is a copy of, by way of others: a forest, whose roots stand for their trees.
    first = [known.setdefault(content, position) for position, content in enumerate(each)]

    def root(photo: int) -> int:
        while first[photo] != photo:
            first[photo] = photo = first[first[photo]]
        return photo

    for pair in near_pairs(views).tolist():
        low, high = sorted(map(root, pair))
        first[high] = low
    return np.unique([root(photo) for photo in range(len(first))], return_inverse=True)[1].astype(np.int64)


def _signs(packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1
