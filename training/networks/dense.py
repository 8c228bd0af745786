"""The dense ladder: no features but the pixels themselves."""

from typing import Any

import keras


def features(x: Any) -> Any:
    """Pixels as a row: (n, height * width * channels)."""
    return keras.layers.Flatten(name="flatten")(x)
