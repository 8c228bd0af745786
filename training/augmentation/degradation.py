"""Photos made as coarse and as blocky as other sources have them: scaled down and up again, and coded as JPEG.

A network that sees one data set at 64 pixels and another sharp learns to tell them apart by that. Bringing all photos
through the same losses at random takes it away.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from foodscene.training.augmentation.draws import Draws


def degrade(batch: NDArray[np.uint8], draws: Draws) -> None:
    """Change photos in place, each by its row of `draws`: `downscale`, then `jpeg_quality`; nan leaves it as it is.

    `batch` has shape (n, height, width, channels). JPEG is coded at the smaller size, as it was there.
    """
    for photo, share, quality in zip(batch, draws["downscale"], draws["jpeg_quality"], strict=True):
        height, width = photo.shape[:2]
        small = photo
        if not np.isnan(share):
            size = max(1, round(width * share)), max(1, round(height * share))
            small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        if not np.isnan(quality):
            _, coded = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, round(quality)))
            small = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
        if small is not photo:
            photo[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(photo.shape)
