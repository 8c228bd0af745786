"""Engines run a bundle's model, and answer the same."""

import importlib.util
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest

from foodscene.models.bundle import BundleError, read
from foodscene.models.engine import open_engine

PHOTOS = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def colours(toy_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours"))


def test_engines_answer_the_same(toy_bundle: Path) -> None:
    bundle = read(toy_bundle / "colours")
    onnx, keras_engine = open_engine(bundle), open_engine(bundle, "keras")
    assert (onnx.kind, keras_engine.kind) == ("onnx", "keras")
    probabilities = onnx.predict(PHOTOS)
    assert probabilities.shape == (5, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, keras_engine.predict(PHOTOS), atol=1e-4)
    # Anyone's Keras loads the model and gives the same, on raw pixels.
    np.testing.assert_allclose(
        keras.models.load_model(bundle.model).predict(PHOTOS, verbose=0), probabilities, atol=1e-4
    )


def test_calls_from_several_threads(toy_bundle: Path) -> None:
    for kind in ("onnx", "keras"):
        engine = open_engine(read(toy_bundle / "colours"), kind)  # type: ignore[arg-type]
        expected = engine.predict(PHOTOS)
        with ThreadPoolExecutor(4) as pool:
            for answer in pool.map(engine.predict, [PHOTOS] * 20):
                np.testing.assert_allclose(answer, expected, atol=1e-6)


def test_stale_compiled_model_is_not_used(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (colours / "card.json").unlink()
    inputs = keras.Input((16, 16, 3))
    keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs))).save(
        colours / "model.h5"
    )
    bundle = read(colours)
    assert open_engine(bundle).kind == "keras"
    with pytest.raises(BundleError, match=r"another model\.h5"):
        open_engine(bundle, "onnx")
    (colours / "model.onnx").unlink()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BundleError, match="foodscene compile"):
        open_engine(bundle)


def test_broken_compiled_model(colours: Path) -> None:
    (colours / "model.onnx").write_bytes(b"junk")
    with pytest.raises(BundleError, match="cannot be loaded"):
        open_engine(read(colours), "onnx")


def test_rescale_of_somebody_elses_model(colours: Path) -> None:
    expected = open_engine(read(colours)).predict(PHOTOS)
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(
        inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(inputs))
    )
    model.layers[-1].set_weights([np.eye(3) * 5, np.zeros(3)])
    model.save(colours / "model.h5")
    (colours / "card.json").write_text(f'{{"input": {{"height": 16, "width": 16, "rescale": {1 / 255}}}}}')
    np.testing.assert_allclose(open_engine(read(colours), "keras").predict(PHOTOS), expected, atol=1e-5)


def test_output_must_fit_the_labels_and_be_probabilities(colours: Path) -> None:
    (colours / "labels.txt").write_text("red\ngreen\n")
    with pytest.raises(BundleError, match="2 labels"):
        open_engine(read(colours))
    (colours / "labels.txt").write_text("red\ngreen\nblue\n")
    (colours / "card.json").unlink()
    inputs = keras.Input((16, 16, 3))
    keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs))).save(colours / "model.h5")
    with pytest.raises(BundleError, match="softmax"):
        open_engine(read(colours), "keras")


def test_a_model_that_is_swapped_after_the_check_is_not_loaded(colours: Path) -> None:
    bundle = read(colours)
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalMaxPooling2D()(inputs))
    keras.Model(inputs, outputs).save(colours / "model.h5")
    with pytest.raises(BundleError, match="has changed since"):
        open_engine(bundle, "keras")
    assert open_engine(bundle).kind == "onnx"  # compiled from what was checked
