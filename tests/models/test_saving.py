"""Where a bundle may be written, and what it may be called."""

import json
import os
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from foodscene.models.bundle import BundleError, check_name, read_bundle
from foodscene.models.card import Card
from foodscene.models.engine import OnnxEngine, Outputs
from foodscene.models.files import OccupiedError
from foodscene.models.saving import check_labels, check_target, name_for, versions, write, write_copy

SAMPLE = np.zeros((2, 16, 16, 3), np.uint8)


@pytest.fixture
def colours(toy_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the toy bundle that a test may damage."""
    return Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours"))


def test_only_a_bundle_of_ours_is_written_over(colours: Path, tmp_path: Path) -> None:
    check_target(tmp_path / "new")
    check_target(colours)
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty")
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    with pytest.raises(OccupiedError, match=r"photos holds cat, and no bundle that foodscene wrote"):
        check_target(tmp_path / "photos")
    with pytest.raises(OccupiedError, match="no bundle that foodscene wrote"):
        check_target(tmp_path)  # a folder of bundles
    (tmp_path / "file").touch()
    with pytest.raises(OccupiedError, match="is a file"):
        check_target(tmp_path / "file")
    with pytest.raises(OccupiedError, match="there can be no folder"):
        check_target(tmp_path / "file" / "below")
    with pytest.raises(BundleError, match="'my bundle' is no name"):
        check_target(tmp_path / "my bundle")


def test_the_folder_that_one_is_in_is_not_replaced(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", colours):
        monkeypatch.chdir(folder)
        with pytest.raises(OccupiedError, match="is the folder that you are in"):
            check_target(Path())


def test_a_mount_point_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounted").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).name == "mounted")
    with pytest.raises(OccupiedError, match="is a mount point"):
        check_target(tmp_path / "mounted")


def test_a_compiled_model_of_somebody_s_is_not_replaced(colours: Path) -> None:
    (colours / "model.onnx").write_bytes(b"mine")
    with pytest.raises(OccupiedError, match=r"model\.onnx was not compiled by foodscene"):
        check_target(colours)


@pytest.mark.parametrize("change", ["no card", "no sha256", "another model"])
def test_somebody_else_s_model_is_not_written_over(colours: Path, change: str) -> None:
    card = colours / "card.json"
    match change:
        case "no card":
            card.unlink()
        case "no sha256":
            card.write_text(json.dumps({**json.loads(card.read_text()), "sha256": None}))
        case _:
            (colours / "model.h5").write_bytes((colours / "model.h5").read_bytes() + b"0")
    with pytest.raises(OccupiedError, match="no bundle that foodscene wrote"):
        check_target(colours)


def test_other_files_in_a_bundle_s_folder_stay(colours: Path) -> None:
    (colours / "photos").mkdir()
    (colours / "photos" / "1.jpg").write_text("photo")
    (colours / "notes.txt").write_text("mine")
    before = read_bundle(colours)
    model = keras.models.load_model(before.model, compile=False)
    after = write(colours, model, before.labels, before.card, SAMPLE)
    assert after.labels == before.labels
    assert (colours / "photos" / "1.jpg").read_text() == "photo"
    assert (colours / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["cat", "cat "], "The classes 'cat' and 'cat ' have one name"),
        (["cat", "two\nlines"], r"'two\\nlines' has a line end"),
        (["cat", "two\u2028lines"], r"'two\\u2028lines' has a line end"),
        (["cat", " "], "' ' has an empty name"),
        (["cat", "caf\udce9"], r"'caf\\xe9' has a name that is not UTF-8"),
    ],
)
def test_labels_that_no_file_gives_back_are_named(labels: list[str], said: str) -> None:
    with pytest.raises(BundleError, match=said):
        check_labels(labels)


def test_labels_that_come_back_are_fine() -> None:
    check_labels(["crème brûlée", "cat ", "寿司", "it's"])


@pytest.mark.parametrize(
    ("recipe", "name"),
    [("food/basic", "food-basic"), ("My dishes (v2)", "My-dishes-v2"), ("gerüche", "geruche"), ("寿司", "model")],
)
def test_every_recipe_has_a_name_for_its_bundle(recipe: str, name: str) -> None:
    assert name_for(recipe) == name
    check_name(name)


def test_versions_name_the_keras_stack() -> None:
    assert versions()["keras"] == keras.__version__


def network() -> keras.Model:
    inner = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalMaxPooling2D()])
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inner(inputs)))


SAMPLE = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)


def test_what_runtimes_disagree_on_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxEngine, "answer", lambda _, prepared: Outputs(np.full((len(prepared), 2), 0.5, np.float32)))
    with pytest.raises(BundleError, match="differs from the trained network"):
        write(tmp_path / "made", network(), ["a", "b"], Card(), SAMPLE)
    assert not (tmp_path / "made").exists()


def test_a_model_is_written_in_words_that_older_keras_knows(tmp_path: Path) -> None:
    model = network()
    bundle = write(tmp_path / "made", model, ["a", "b"], Card(), SAMPLE)
    with h5py.File(bundle.model) as file:
        config = json.loads(file.attrs["model_config"])
    assert "quantization_config" not in json.dumps(config)
    again = keras.models.load_model(bundle.model, compile=False)
    np.testing.assert_allclose(again.predict(SAMPLE, verbose=0), model.predict(SAMPLE, verbose=0), atol=1e-5)


def test_a_copy_has_the_same_model_under_another_card(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    network().save(folder / "model.keras")
    (folder / "labels.txt").write_text("0 cat\n1 dog\n")
    bundle = read_bundle(folder)
    copy = write_copy(tmp_path / "copy", bundle, Card(title="Calm", temperature=2.0))
    assert (copy.labels, copy.file, copy.sha256) == (("cat", "dog"), "model.keras", bundle.sha256)
    assert (copy.title, copy.card.temperature) == ("Calm", 2.0)
    assert (folder / "labels.txt").read_text() == "0 cat\n1 dog\n"
    bundle.model.write_bytes(b"another")
    with pytest.raises(BundleError, match="has changed since"):
        write_copy(tmp_path / "copy", bundle, Card())
