"""A folder of `model.onnx` and labels is a bundle: read, answered from and refused as any other."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from foodscene.app.inference.registry import stamp
from foodscene.models.bundle import BundleError, find, read_bundle
from foodscene.models.card import Card
from foodscene.models.compiler import write_onnx
from foodscene.models.engine import ExportedEngine, open_engine
from foodscene.models.saving import write_copy
from tests.models.exported.files import DENSE, NETWORK, folder, model

PHOTOS = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
MEANS = PHOTOS.mean(axis=(1, 2)) / 255
UNIT = {"card": json.dumps({"input": {"rescale": 1 / 255}})}


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def answers(place: Path, photos: np.ndarray = PHOTOS) -> np.ndarray:
    engine = open_engine(read_bundle(place))
    assert isinstance(engine, ExportedEngine)
    return engine.predict(photos)


def test_logits_get_a_softmax(tmp_path: Path) -> None:
    place = folder(tmp_path / "colours", model(), **UNIT)
    bundle = read_bundle(place)
    assert (bundle.output, bundle.file, bundle.labels) == ("logits", "model.onnx", ("red", "green", "blue"))
    np.testing.assert_allclose(answers(place), softmax(MEANS), atol=1e-5)


def test_channels_last(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["x"], ["f"], axes=[1, 2], keepdims=0)
    place = folder(tmp_path / "colours", model([mean, DENSE], ("n", 16, 16, 3)), **UNIT)
    np.testing.assert_allclose(answers(place), softmax(MEANS), atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_a_fixed_batch_takes_any_number_of_photos(tmp_path: Path, batch: int) -> None:
    place = folder(tmp_path / "colours", model(shape=(batch, 3, 16, 16)), **UNIT)
    np.testing.assert_allclose(answers(place), softmax(MEANS), atol=1e-5)


def test_half_precision(tmp_path: Path) -> None:
    half = model(kind=TensorProto.FLOAT16, kernel=np.eye(3, dtype=np.float16))
    np.testing.assert_allclose(answers(folder(tmp_path / "colours", half, **UNIT)), softmax(MEANS), atol=1e-3)


@pytest.mark.parametrize(("units", "output"), [(3, "multi_label"), (1, "sigmoid")])
def test_sigmoids(tmp_path: Path, units: int, output: str) -> None:
    last = helper.make_node("Sigmoid", ["y"], ["z"])
    made = model([*NETWORK, last], outputs=["z"], kernel=np.eye(3, units, dtype=np.float32))
    place = folder(tmp_path / "colours", made, "no\nyes\n" if units == 1 else "a\nb\nc\n", **UNIT)
    assert read_bundle(place).output == output
    each = 1 / (1 + np.exp(-MEANS[:, :units]))
    np.testing.assert_allclose(answers(place), np.concatenate([1 - each, each], 1) if units == 1 else each, atol=1e-5)


def test_what_lies_beside_it_is_heeded(tmp_path: Path) -> None:
    made = model(shape=("n", "c", "h", "w"))
    said = json.dumps({"size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    names = json.dumps({"id2label": {"0": "red", "1": "green", "2": "blue"}})
    place = folder(tmp_path / "colours", made, None, preprocessor_config=said, config=names)
    bundle = read_bundle(place)
    assert (bundle.labels, tuple(bundle.spec)) == (("red", "green", "blue"), (16, 16, 3, "squash"))
    assert str(bundle.scaling) == "-1 to 1 (by preprocessor_config.json)"
    np.testing.assert_allclose(answers(place), softmax(MEANS * 2 - 1), atol=1e-5)
    # What the card says of it counts more.
    (place / "card.json").write_text('{"input": {"rescale": 1, "fit": "pad"}}')
    bundle = read_bundle(place)
    assert (bundle.spec.fit, str(bundle.scaling)) == ("pad", "0 to 255 (by card.json)")


def test_the_model_s_own_size_counts_more_than_what_lies_beside_it(tmp_path: Path) -> None:
    place = folder(tmp_path / "colours", model(), preprocessor_config='{"size": 224}')
    assert read_bundle(place).spec.shape == (16, 16, 3)


def test_what_pytorch_exported_is_assumed_to_be_trained_as_torchvision_does(tmp_path: Path) -> None:
    bundle = read_bundle(folder(tmp_path / "colours", model(producer="pytorch")))
    assert bundle.scaling.said_by == "assumed, as torchvision's networks take them"
    values = bundle.scaling.apply(PHOTOS)
    np.testing.assert_allclose(values, (PHOTOS / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], atol=1e-5)
    raw = read_bundle(folder(tmp_path / "raw", model()))
    assert str(raw.scaling) == "0 to 255 (assumed)"


def test_what_foodscene_compiled_is_a_bundle_by_itself(toy_bundle: Path, tmp_path: Path) -> None:
    whole = Path(shutil.copytree(toy_bundle / "colours", tmp_path / "whole"))
    (whole / "card.json").write_text(
        '{"temperature": 2, "input": {"rescale": 0.5, "channel_order": "bgr", "mean": [3]}}'
    )
    bundle = read_bundle(whole)
    expected = open_engine(bundle).predict(PHOTOS)
    (tmp_path / "alone").mkdir()
    shutil.move(write_onnx(bundle), tmp_path / "alone")
    np.testing.assert_allclose(answers(tmp_path / "alone"), expected, atol=1e-5)
    assert read_bundle(tmp_path / "alone").labels == bundle.labels


def test_a_temperature_is_written_into_a_copy(tmp_path: Path) -> None:
    said = json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    bundle = read_bundle(folder(tmp_path / "colours", model(), preprocessor_config=said))
    for temperature in (3.0, 2.0):  # the copy is ours, and may be written again
        write_copy(tmp_path / "copy", bundle, bundle.card.model_copy(update={"temperature": temperature}))
    np.testing.assert_allclose(answers(tmp_path / "copy"), softmax((MEANS * 2 - 1) / 2), atol=1e-5)


def test_keras_has_the_first_word(toy_bundle: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(toy_bundle / "colours", tmp_path / "both"))
    (place / "model.onnx").write_bytes(model().SerializeToString())
    assert read_bundle(place).file == "model.h5"


def test_refusals_name_the_folder_and_the_others_are_found(tmp_path: Path) -> None:
    folder(tmp_path / "good", model())
    folder(tmp_path / "unlabelled", model(), None)
    folder(tmp_path / "loops", model([*NETWORK, helper.make_node("Loop", ["", "", "y"], ["z"])]))
    folder(tmp_path / "open", model(shape=("n", 3, "h", "w")))
    folder(tmp_path / "features", model(NETWORK[:1], outputs=["p"], shape=("n", 3, 16, 16)), "a\nb\n")
    found = {name: str(bundle) for name, bundle in find(tmp_path).items() if isinstance(bundle, BundleError)}
    assert set(found) == {"unlabelled", "loops", "open", "features"}
    assert "write one with 3 lines" in found["unlabelled"]
    assert "loops: model.onnx contains 'Loop': it may never end" in found["loops"]
    assert "open: model.onnx leaves its input size open (any x any x 3)" in found["open"]
    assert "labels.txt has 2 labels, and the model tells 3 apart" in found["features"]


def test_keras_engine_is_refused_in_a_sentence(tmp_path: Path) -> None:
    bundle = read_bundle(folder(tmp_path / "colours", model()))
    with pytest.raises(BundleError, match=r"Keras does not read model\.onnx"):
        open_engine(bundle, "keras")
    with pytest.raises(BundleError, match="there is nothing to compile"):
        write_onnx(bundle)


def test_a_model_that_is_swapped_after_the_check_is_not_loaded(tmp_path: Path) -> None:
    bundle = read_bundle(folder(tmp_path / "colours", model()))
    bundle.model.write_bytes(model(producer="another").SerializeToString())
    with pytest.raises(BundleError, match="has changed since"):
        open_engine(bundle)


def test_a_network_that_fails_on_a_photo_has_no_label_for_it(tmp_path: Path) -> None:
    log = [NETWORK[0], helper.make_node("Log", ["p"], ["l"]), helper.make_node("Flatten", ["l"], ["f"])]
    minus = [helper.make_node("Gemm", ["f", "w"], ["g"]), helper.make_node("Sub", ["g", "g"], ["y"])]
    found = answers(folder(tmp_path / "log", model([*log, *minus])), np.zeros((1, 16, 16, 3), np.uint8))
    np.testing.assert_array_equal(found, np.zeros((1, 3)))


def test_a_service_sees_when_what_lies_beside_it_changes(tmp_path: Path) -> None:
    place = folder(tmp_path / "colours", model())
    before = stamp(place)
    (place / "preprocessor_config.json").write_text("{}")
    assert stamp(place) != before


def test_card_is_ours_in_a_copy(tmp_path: Path) -> None:
    bundle = read_bundle(folder(tmp_path / "colours", model()))
    copy = write_copy(tmp_path / "copy", bundle, Card(title="Copy"))
    assert (copy.file, copy.card.title, copy.card.sha256) == ("model.onnx", "Copy", bundle.sha256)
