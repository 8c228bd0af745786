"""Engines run a bundle's model, and answer the same."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest

from foodscene.models.bundle import BundleError, read_bundle
from foodscene.models.engine import open_engine
from tests.models.graph.files import entry, sequential, write_h5

PHOTOS = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def colours(toy_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours"))


def test_engines_answer_the_same(toy_bundle: Path) -> None:
    bundle = read_bundle(toy_bundle / "colours")
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
        engine = open_engine(read_bundle(toy_bundle / "colours"), kind)  # type: ignore[arg-type]
        expected = engine.predict(PHOTOS)
        with ThreadPoolExecutor(4) as pool:
            for answer in pool.map(engine.predict, [PHOTOS] * 20):
                np.testing.assert_allclose(answer, expected, atol=1e-6)


def test_rescale_of_somebody_elses_model(colours: Path) -> None:
    expected = open_engine(read_bundle(colours)).predict(PHOTOS)
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(
        inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(inputs))
    )
    model.layers[-1].set_weights([np.eye(3) * 5, np.zeros(3)])
    model.save(colours / "model.h5")
    (colours / "card.json").write_text(f'{{"input": {{"height": 16, "width": 16, "rescale": {1 / 255}}}}}')
    np.testing.assert_allclose(open_engine(read_bundle(colours), "keras").predict(PHOTOS), expected, atol=1e-5)


def test_what_keras_cannot_read_it_gets_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    kernel = np.random.default_rng(0).normal(0, 0.01, (3, 3, 3, 1)).astype(np.float32)
    config = sequential(
        entry("DepthwiseConv2D", "deep", kernel_size=[3, 3], groups=1, use_bias=False),
        entry("GlobalAveragePooling2D", "pool"),
        entry("Softmax", "softmax"),
        shape=(None, 16, 16, 3),
    )
    write_h5(tmp_path / "old" / "model.h5", config, {"deep": {"deep/depthwise_kernel:0": kernel}})
    (tmp_path / "old" / "labels.txt").write_text("a\nb\nc\n")
    bundle = read_bundle(tmp_path / "old")
    np.testing.assert_allclose(
        open_engine(bundle, "keras").predict(PHOTOS), open_engine(bundle).predict(PHOTOS), atol=1e-4
    )


LAST = {
    "logits": (3, None, ["a", "b", "c"]),
    "sigmoid": (1, "sigmoid", ["no", "yes"]),
    "multi_label": (3, "sigmoid", ["a", "b", "c"]),
}


@pytest.mark.parametrize("kind", LAST)
def test_outputs_of_other_kinds_are_probabilities(tmp_path: Path, kind: str) -> None:
    units, activation, labels = LAST[kind]
    inputs = keras.Input((16, 16, 3))
    hidden = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(units, activation=activation)(hidden))
    (tmp_path / kind).mkdir()
    model.save(tmp_path / kind / "model.h5")
    (tmp_path / kind / "labels.txt").write_text("\n".join(labels))
    bundle = read_bundle(tmp_path / kind)
    assert bundle.output == kind
    raw = np.asarray(model(PHOTOS.astype(np.float32)))
    expected = {
        "logits": np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True),
        "sigmoid": np.concatenate([1 - raw, raw], axis=1),
        "multi_label": raw,
    }[kind]
    for engine in ("onnx", "keras"):
        np.testing.assert_allclose(open_engine(bundle, engine).predict(PHOTOS), expected, atol=1e-4)  # type: ignore[arg-type]


def test_a_temperature_in_the_card_makes_answers_less_sure(colours: Path) -> None:
    before = open_engine(read_bundle(colours)).predict(PHOTOS)
    card = json.loads((colours / "card.json").read_text())
    (colours / "card.json").write_text(json.dumps(card | {"temperature": 2.0}))
    after = open_engine(read_bundle(colours)).predict(PHOTOS)
    expected = np.sqrt(before) / np.sqrt(before).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_what_is_called_a_softmax_must_be_one(colours: Path) -> None:
    (colours / "card.json").write_text('{"output": "softmax"}')
    inputs = keras.Input((16, 16, 3))
    keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs))).save(colours / "model.h5")
    with pytest.raises(BundleError, match="does not answer with probabilities"):
        open_engine(read_bundle(colours))


def test_a_model_that_is_swapped_after_the_check_is_not_loaded(colours: Path) -> None:
    bundle = read_bundle(colours)
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalMaxPooling2D()(inputs))
    keras.Model(inputs, outputs).save(colours / "model.h5")
    with pytest.raises(BundleError, match="has changed since"):
        open_engine(bundle, "keras")
