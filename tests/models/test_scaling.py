"""What becomes of pixel values before they reach a network."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from foodscene.models.card import CardInput
from foodscene.models.graph.reader import outline
from foodscene.models.scaling import guess, scaling
from tests.models.graph.agreement import saved

layers = keras.layers
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({"rescale": 1 / 127.5, "offset": -1}, "tf"),
        ({"channel_order": "bgr", "mean": (103.939, 116.779, 123.68)}, "caffe"),
        ({"rescale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}, "torch"),
    ],
)
def test_is_what_preprocess_input_makes(given: dict[str, Any], mode: str) -> None:
    made = scaling(CardInput(**given), "by card.json").apply(PIXELS)
    expected = keras.applications.imagenet_utils.preprocess_input(PIXELS.astype(np.float32), mode=mode)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected, atol=1e-4)


def test_raw_values_stay_as_they_are() -> None:
    np.testing.assert_array_equal(scaling(CardInput(), "assumed").apply(PIXELS), PIXELS.astype(np.float32))


def test_it_says_in_words_what_the_network_takes() -> None:
    assert str(scaling(CardInput(rescale=1 / 127.5, offset=-1), "by card.json")) == "-1 to 1 (by card.json)"
    assert str(scaling(CardInput(), "assumed")) == "0 to 255 (assumed)"
    assert str(scaling(CardInput(mean=(1, 2, 3), channel_order="bgr"), "by card.json")).startswith("BGR")


@pytest.mark.parametrize("given", [{"mean": (1, 2)}, {"std": (0, 1, 1)}, {"rescale": 0}, {"offset": float("nan")}])
def test_what_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CardInput(**given)


def test_layers_that_scale_are_found(tmp_path: Path) -> None:
    inputs = keras.Input((32, 32, 3))
    for first in (
        layers.Rescaling(1 / 255)(inputs),
        inputs / 127.5 - 1.0,
        layers.Normalization(mean=1, variance=2)(inputs),
        layers.Rescaling(1 / 255)(layers.Resizing(16, 16)(inputs)),
        layers.Rescaling(1 / 255)(layers.RandomFlip()(inputs)),
        keras.applications.vgg16.preprocess_input(inputs),
    ):
        model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(first)))
        assert guess(outline(saved(model, tmp_path / "model.h5"))) == ({}, "its layers scale them")
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Conv2D(3, 1)(inputs))))
    assert guess(outline(saved(model, tmp_path / "model.h5"))) == ({}, "assumed")
