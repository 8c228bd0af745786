"""The bundle: read, checked and written."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from foodscene.models.bundle import (
    SHIPPED,
    Bundle,
    BundleError,
    default_name,
    find,
    find_bundle,
    read_bundle,
)
from foodscene.models.card import Card, CardInput
from foodscene.models.files import hash_file
from foodscene.models.saving import write

SAMPLE = np.zeros((2, 16, 16, 3), np.uint8)


@pytest.fixture
def colours(toy_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the toy bundle that a test may damage."""
    return Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours"))


def test_what_was_written_is_read(toy_bundle: Path) -> None:
    bundle = read_bundle(toy_bundle / "colours")
    assert bundle.name == "colours"
    assert bundle.title == "Colours"
    assert bundle.labels == ("red", "green", "blue")
    assert bundle.spec == (16, 16, 3, "squash")
    assert bundle.card.sha256 == bundle.sha256 == hash_file(bundle.model)
    assert bundle.card.versions["keras"] == keras.__version__
    assert bundle.onnx.is_file()
    assert sorted(path.name for path in bundle.folder.iterdir()) == [
        "README.md",
        "card.json",
        "labels.txt",
        "model.h5",
        "model.onnx",
    ]


def test_model_and_labels_alone_are_a_bundle(colours: Path) -> None:
    for name in ("card.json", "model.onnx", "README.md"):
        (colours / name).unlink()
    bundle = read_bundle(colours)
    assert bundle.spec == (16, 16, 3, "squash")
    assert bundle.title == "colours"
    assert bundle.card.sure_above == 0.5


def test_labels_written_elsewhere(colours: Path) -> None:
    (colours / "labels.txt").write_bytes("\ufeffred\r\ngr\u00fcn\r\nblue\r\n\r\n".encode())
    assert read_bundle(colours).labels == ("red", "gr\u00fcn", "blue")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("labels.txt", b"red\nred\nblue\n", "'red' twice"),
        ("labels.txt", b"red\n", "at least two"),
        ("labels.txt", b"\xff\xfe\x00", "UTF-8"),
        ("card.json", b"{", "card.json"),
        ("card.json", b'{"sure_above": "often"}', "sure_above"),
        ("card.json", b'{"input": {"height": 17, "width": 16}}', "17 x 16 x 3"),
        ("card.json", b'{"sha256": "0"}', "sha256"),
        ("model.h5", b"", "model.h5"),
        ("model.h5", b"junk", "model.h5"),
    ],
)
def test_what_is_wrong_is_said(colours: Path, name: str, content: bytes, told: str) -> None:
    (colours / "card.json").unlink()
    (colours / name).write_bytes(content)
    with pytest.raises(BundleError, match=told):
        read_bundle(colours)


def test_missing_parts_and_names(colours: Path) -> None:
    (colours / "labels.txt").unlink()
    with pytest.raises(BundleError, match=r"no labels\.txt"):
        read_bundle(colours)
    odd = colours.rename(colours.with_name("my model"))
    with pytest.raises(BundleError, match="no name"):
        read_bundle(odd)


def test_open_input_size_must_be_given(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D()(inputs))
    keras.Model(inputs, outputs).save(folder / "model.h5")
    (folder / "labels.txt").write_text("a\nb\nc\n")
    with pytest.raises(BundleError, match="input size open"):
        read_bundle(folder)
    (folder / "card.json").write_text(json.dumps({"input": {"height": 20, "width": 30, "fit": "crop"}}))
    assert read_bundle(folder).spec == (20, 30, 3, "crop")


def test_find_tells_the_usable_from_the_broken(colours: Path) -> None:
    broken = shutil.copytree(colours, colours.with_name("broken"))
    (broken / "model.h5").write_bytes(b"junk")
    (colours.parent / "notes").mkdir()
    (colours.parent / ".colours-x").mkdir()
    found = find(colours.parent)
    assert list(found) == ["broken", "colours"]
    assert isinstance(found["broken"], BundleError)
    assert isinstance(found["colours"], Bundle)
    with pytest.raises(BundleError, match="not a folder"):
        find(colours / "labels.txt")


def test_choose(colours: Path) -> None:
    root = colours.parent
    assert (
        find_bundle("", root).name
        == find_bundle("colours", root).name
        == find_bundle(str(colours), root).name
        == "colours"
    )
    with pytest.raises(BundleError, match=r"'tastes'.*colours"):
        find_bundle("tastes", root)
    assert find_bundle("", colours).name == "colours"
    (root / "empty").mkdir()
    with pytest.raises(BundleError, match="no bundle"):
        find_bundle("", root / "empty")
    (colours / "labels.txt").unlink()
    with pytest.raises(BundleError, match=r"labels\.txt"):
        find_bundle("colours", root)


def test_a_bundle_in_the_working_directory_is_found_by_its_name(
    colours: Path, toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours.rename(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert find_bundle("mine", toy_bundle).folder == tmp_path / "mine"
    (tmp_path / "colours").mkdir()  # holds no bundle
    assert find_bundle("colours", toy_bundle).folder == toy_bundle / "colours"


def test_default_is_everyday() -> None:
    assert default_name(["b", "everyday", "a"]) == "everyday"
    assert default_name(["b", "a"]) == "a"
    assert default_name([]) is None


def test_unsafe_model_is_not_written(tmp_path: Path) -> None:
    inputs = keras.Input((16, 16, 3))
    hidden = keras.layers.Lambda(lambda pixels: pixels / 255)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(hidden)))
    with pytest.raises(BundleError, match="Lambda"):
        write(tmp_path / "bad", model, ["a", "b"], Card(input=CardInput(height=16, width=16)), SAMPLE)
    assert list(tmp_path.iterdir()) == []


def test_bundles_that_ship_are_sound() -> None:
    bundles = find(SHIPPED)
    assert bundles
    for bundle in bundles.values():
        assert isinstance(bundle, Bundle), str(bundle)
        assert bundle.card.sha256
        assert bundle.card.metrics
        assert bundle.onnx.is_file()
