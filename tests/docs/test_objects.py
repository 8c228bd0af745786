"""The script that makes the shipped `objects`, on a network and a table of a tiny scale."""

from pathlib import Path

import keras
import numpy as np
import pytest

from examples import objects
from foodscene.models.engine import open_engine

TABLE = "index\tid\tname\tneither\n134\tn1\tcrane\t1\n517\tn2\tcrane\t1\n963\tn3\tpizza\t0\n7\tn4\ttench\t1\n"


def tiny(backbone: str, size: int, weights: str) -> keras.Model:
    """In the place of the real network: a convolution with its batch norm, and four labels."""
    assert (backbone, weights) == ("EfficientNetLite0", "weights.pth")
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(4, 3, strides=16, use_bias=False)(keras.layers.Rescaling(1 / 128, -127 / 128)(inputs))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(x))
    return keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x))


def test_a_bundle_is_made_whose_card_says_what_is_foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "classifier", tiny)
    (tmp_path / "classes.tsv").write_text(TABLE)
    made = objects.make(tmp_path / "objects", tmp_path / "classes.tsv", "weights.pth")
    assert made.labels == ("tench", "crane (bird)", "crane (machine)", "pizza"), "in ImageNet's order"
    assert made.card.foreign == ["tench", "crane (bird)", "crane (machine)"]
    assert made.spec.shape == (160, 160, 3)
    assert "Apache-2.0" in made.card.license
    readme = (made.folder / "README.md").read_text()
    assert "3 of these labels are nothing that it stands for" in readme
    assert 'load_model("objects/model.h5")' in readme
    answer = open_engine(made).predict(np.zeros((1, 160, 160, 3), np.uint8))
    assert answer.sum() == pytest.approx(1, abs=1e-5)
