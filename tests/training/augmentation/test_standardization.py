"""The layers against `ImageDataGenerator.fit` and `standardize`, and what a saved or exported model does."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from foodscene.training.augmentation import standardization
from foodscene.training.augmentation.reference import generator
from foodscene.training.recipes.augmentation import Augmentation

pytestmark = pytest.mark.slow

ALL: list[dict[str, Any]] = [
    {"rescale": 1 / 255},
    {"featurewise_center": True},
    {"featurewise_std_normalization": True},
    {"featurewise_std_normalization": True, "rescale": 1 / 255},
    {"samplewise_center": True},
    {"samplewise_center": True, "rescale": 1 / 127.5},
    {"samplewise_std_normalization": True},
    {"samplewise_std_normalization": True, "rescale": 1 / 255},
    {"zca_whitening": True},
    {"zca_whitening": True, "zca_epsilon": 0.1, "rescale": 1 / 255},
]


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """400 made-up photos of 6 x 8 pixels, their neighbours alike as on photos."""
    rng = np.random.default_rng(0)
    blobs = rng.integers(0, 256, (400, 4, 4, 3), dtype=np.uint8)
    smooth = np.stack([np.asarray(Image.fromarray(one).resize((8, 6), Image.Resampling.BICUBIC)) for one in blobs])
    noisy: NDArray[np.float64] = smooth + rng.normal(0, 8, smooth.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def network(layers: list[keras.layers.Layer], shape: tuple[int, ...], *, ends: bool = False) -> keras.Model:
    inputs = outputs = keras.Input(shape)
    for layer in layers:
        outputs = layer(outputs)
    if ends:
        outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(outputs))
    return keras.Model(inputs, outputs)


@pytest.mark.slow
@pytest.mark.parametrize("table", ALL, ids=str)
def test_does_what_the_real_class_does(pixels: NDArray[np.uint8], table: dict[str, Any]) -> None:
    augmentation = Augmentation.model_validate(table)
    train = np.arange(20, 400)
    real = generator(augmentation)
    real.fit(pixels[train].astype(np.float32))
    wanted = np.stack([real.standardize(photo.astype(np.float32)) for photo in pixels[:50]])
    layers = standardization.layers(augmentation, pixels, train)
    got = network(layers, pixels.shape[1:]).predict(pixels[:50], verbose=0)
    assert got.std() > 0.1
    assert np.abs(got - wanted).max() < 1e-3 * wanted.std()


@pytest.mark.parametrize("table", [*ALL, {"zca_whitening": True, "zca_rank": 20}], ids=str)
def test_a_saved_and_an_exported_model_standardize_by_themselves(
    pixels: NDArray[np.uint8], table: dict[str, Any], tmp_path: Path
) -> None:
    augmentation = Augmentation.model_validate(table)
    layers = standardization.layers(augmentation, pixels, np.arange(len(pixels)))
    model = network(layers, pixels.shape[1:], ends=True)
    raw = pixels[:32].astype(np.float32)
    probabilities = model.predict(raw, verbose=0)
    model.save(tmp_path / "model.h5")
    loaded = keras.saving.load_model(tmp_path / "model.h5", compile=False)
    assert np.abs(loaded.predict(raw, verbose=0) - probabilities).max() < 1e-6
    assert all(type(layer).__module__.startswith("keras.") for layer in loaded.layers)
    assert not any(layer.trainable for layer in loaded.layers[1:-2])
    if keras.backend.backend() == "tensorflow":
        loaded.export(tmp_path / "model.onnx", format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        (answer,) = session.run(None, {session.get_inputs()[0].name: raw})
        assert np.abs(answer - probabilities).max() < 1e-5


def test_no_layers_where_nothing_is_switched_on(pixels: NDArray[np.uint8]) -> None:
    assert standardization.layers(Augmentation(rotation_range=9), pixels, np.arange(5)) == []


def test_a_blank_photo_becomes_zeros() -> None:
    blank = np.full((2, 9, 9, 3), 201, np.uint8)
    layers = standardization.layers(Augmentation(samplewise_std_normalization=True), blank, np.arange(2))
    assert np.abs(network(layers, (9, 9, 3)).predict(blank, verbose=0)).max() < 0.1


def test_sixteen_bit_models_standardize_in_float32(pixels: NDArray[np.uint8]) -> None:
    augmentation = Augmentation(samplewise_center=True)
    wanted = network(standardization.layers(augmentation, pixels, np.arange(9)), pixels.shape[1:]).predict(
        pixels[:9], verbose=0
    )
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layers = standardization.layers(augmentation, pixels, np.arange(9))
        got = network(layers, pixels.shape[1:]).predict(pixels[:9], verbose=0)
    finally:
        keras.config.set_dtype_policy(before)
    assert np.abs(got - wanted).max() < 1e-3


def test_statistics_stream_over_the_chosen_photos(pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardization, "_CHUNK", 7 * 4 * pixels[0].size)
    chosen = np.random.default_rng(0).permutation(400)[:300]
    mean, deviation = standardization.statistics(pixels, chosen)
    assert len(list(standardization.chunks(pixels, chosen))) == 43
    assert mean == pytest.approx(pixels[chosen].mean((0, 1, 2)))
    assert deviation == pytest.approx(pixels[chosen].std((0, 1, 2)))


def test_no_photos_no_mean(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="featurewise_center"):
        standardization.layers(Augmentation(featurewise_center=True), pixels, np.arange(0))
