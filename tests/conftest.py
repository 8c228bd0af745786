"""What tests of several packages share."""

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one bundle, `colours`, that tells red, green and blue photos apart (16 x 16, RGB)."""
    import keras

    from models import bundle
    from models.card import Card, CardInput, CardMetrics

    inputs = keras.Input((16, 16, 3))
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
    model.layers[-1].set_weights([np.eye(3) * 5, np.zeros(3)])
    card = Card(
        title="Colours",
        domain="made-up colours",
        input=CardInput(height=16, width=16),
        metrics=CardMetrics(images=30, top1=0.9, top5=1.0, calibration_error=0.05),
    )
    sample = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    root = tmp_path_factory.mktemp("bundles")
    bundle.write(root / "colours", model, ["red", "green", "blue"], card, sample, {"README.md": "# Colours\n"})
    return root
