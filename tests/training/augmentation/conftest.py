"""Photos to alter."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(scope="session")
def photos() -> NDArray[np.uint8]:
    """Four made-up photos without any symmetry, of 48 x 64 pixels."""
    rng = np.random.default_rng(5)
    blobs = rng.integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((64, 48), Image.Resampling.BICUBIC)) for one in blobs])
