"""Mixup: the photos of a batch mixed in pairs, their labels likewise.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018. A network that learns from mixtures is less sure of any
one label, the wrong ones of a noisy data set among them.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def mix(
    photos: NDArray[Any], labels: NDArray[np.float32], alpha: float, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Each photo of a batch over another one, and the labels in the same shares.

    `photos` has shape (n, height, width, channels), uint8 or float32, `labels` (n, classes). The greater share is the
    photo's own; it is drawn from the Beta distribution with both parameters `alpha`, or is what that leaves.
    """
    drawn = rng.beta(alpha, alpha, len(photos)).astype(np.float32)
    shares = np.maximum(drawn, 1 - drawn)
    partners = rng.permutation(len(photos))
    rows, mixed = photos.reshape(len(photos), -1), np.empty_like(photos)
    for row, partner, share, out in zip(rows, partners, shares, mixed.reshape(len(photos), -1), strict=True):
        cv2.addWeighted(row, float(share), rows[partner], float(1 - share), 0, dst=out)
    weights = shares[:, np.newaxis]
    return mixed, np.asarray(weights * labels + (1 - weights) * labels[partners], dtype=np.float32)
