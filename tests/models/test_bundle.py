"""The bundle: read, checked and written."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from foodscene.models import fallback
from foodscene.models.bundle import (
    MOST_BYTES,
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
    assert sorted(path.name for path in bundle.folder.iterdir()) == [
        "README.md",
        "card.json",
        "labels.txt",
        "model.h5",
    ]


def test_model_and_labels_alone_are_a_bundle(colours: Path) -> None:
    for name in ("card.json", "README.md"):
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
        ("labels.txt", b"\n".join(b"%d" % label for label in range(100_001)), "100,001 labels.*at most 100,000"),
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


@pytest.mark.parametrize("part", ["model.h5", "labels.txt", "card.json"])
def test_what_is_no_regular_file_of_a_reasonable_size_is_refused_at_once(colours: Path, part: str) -> None:
    good = (colours / part).rename(colours / "kept")
    os.mkfifo(colours / part)
    with pytest.raises(BundleError, match=rf"{part} is a pipe"):
        read_bundle(colours)
    (colours / part).unlink()
    (colours / part).mkdir()
    with pytest.raises(BundleError, match=rf"{part} is a folder"):
        read_bundle(colours)
    (colours / part).rmdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(colours / part))  # a whole path may be too long for one
        with pytest.raises(BundleError, match=rf"{part} is a socket"):
            read_bundle(colours)
    (colours / part).unlink()
    with (colours / part).open("wb") as sparse:
        sparse.truncate(500_000_000_000)
    with pytest.raises(BundleError, match=rf"{part} has 500,000.0 MB"):
        read_bundle(colours)
    (colours / part).unlink()
    for elsewhere in ("/dev/zero", "/proc/self/environ", "/etc/passwd", good.parent.parent / "outside"):
        (colours.parent / "outside").write_text("a\nb\nc\n")
        (colours / part).symlink_to(elsewhere)
        with pytest.raises(BundleError, match=rf"{part} is a link out of"):
            read_bundle(colours)
        (colours / part).unlink()
    (colours / part).symlink_to(part)
    with pytest.raises(BundleError):
        read_bundle(colours)
    (colours / part).unlink()
    (colours / part).symlink_to("kept")  # as Kubernetes mounts files
    assert read_bundle(colours).labels == ("red", "green", "blue")


def test_a_linked_bundle_has_the_links_name(colours: Path) -> None:
    link = colours.with_name("current")
    link.symlink_to(colours)
    assert read_bundle(link).name == "current"
    assert set(find(colours.parent)) == {"colours", "current"}
    assert find_bundle("current", colours.parent).name == find_bundle(str(link), colours.parent).name == "current"


def test_a_folder_that_cannot_be_looked_into_is_refused_and_the_others_are_found(
    colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = colours.with_name("lost+found")
    lost.mkdir()

    def locked(path: Path, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if path.is_relative_to(lost) and path != lost:
            raise PermissionError(13, "Permission denied", str(path))
        return call(path, *arguments, **options)

    for name in ("lstat", "stat", "resolve"):  # nobody is refused here who may do everything
        monkeypatch.setattr(Path, name, partialmethod(locked, getattr(Path, name)))
    found = find(colours.parent)
    assert "Permission denied" in str(found["lost+found"])
    assert isinstance(found["colours"], Bundle)
    assert find_bundle("", colours.parent).name == "colours"


@pytest.mark.parametrize(
    "shape", [[None, 5000, 5000, 3], [None, -5, 0, 3], [None, 10**30, 5, 3], [None, True, True, True], [1, 2, 3, 4]]
)
def test_an_input_that_no_network_has_is_refused_with_its_reason(colours: Path, shape: list[object]) -> None:
    (colours / "card.json").unlink()
    configure(colours / "model.h5", lambda config: config["config"]["layers"][0]["config"].update(batch_shape=shape))
    with pytest.raises(
        BundleError, match=r"takes photos|takes an input of shape|leaves its input size open|input has the shape"
    ):
        read_bundle(colours)


def test_configurations_that_break_what_reads_them_are_refused(colours: Path) -> None:
    (colours / "card.json").unlink()
    for module in ([], {}, 5, True):
        configure(
            colours / "model.h5", lambda config, module=module: config["config"]["layers"][1].update(module=module)
        )
        with pytest.raises(BundleError, match="not one of Keras' own"):
            read_bundle(colours)
    for text in ("[" * 100_000, "[" * 300 + "]" * 300, '{"class_name": ' + "9" * 5000 + "}", "42", "\ud800"):
        with h5py.File(colours / "model.h5", "r+") as file:
            file.attrs["model_config"] = text.encode(errors="surrogatepass")
        with pytest.raises(BundleError, match=r"model_config|nested|layers"):
            read_bundle(colours)


@pytest.mark.parametrize(
    "card",
    [
        "[" * 100_000,
        '{"recipe": ' + '{"a": ' * 5000 + "1" + "}" * 5001,
        '{"sure_above": NaN}',
        '{"per_class": {"red": {"recall": Infinity}}}',
        '{"recipe": {"rate": NaN}}',
        '{"recipe": {"rate": ' + "9" * 5000 + "}}",
        '{"title": "\\ud800"}',
        '{"title": []}',
        json.dumps({"title": "t" * 1001}),
        json.dumps({"domain": "d" * 1001}),
        json.dumps({"description": "d" * 100_001}),
        '{"input": {"height": 5000, "width": 5000}}',
    ],
)
def test_cards_that_break_what_reads_them_are_refused(colours: Path, card: str) -> None:
    (colours / "card.json").write_text(card)
    with pytest.raises(BundleError, match=r"card\.json"):
        read_bundle(colours)


def configure(model: Path, change: Callable[[Any], object]) -> None:
    """Change the configuration of an `.h5` model."""
    with h5py.File(model, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)


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
    assert default_name(["b", "a"], {"a"}) == "b", "which is no fallback"
    assert default_name(["a"], {"a"}) == "a"
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
    assert {"everyday", "objects"} <= bundles.keys()
    for bundle in bundles.values():
        assert isinstance(bundle, Bundle), str(bundle)
        assert bundle.card.sha256
        assert bundle.card.metrics or bundle.card.foreign, "one that is a fallback alone is as others published it"
        assert not (bundle.folder / "model.onnx").exists()
        fallback.beside(bundle)  # says what is wrong with it


def test_the_shipped_fallback_names_what_is_neither_food_nor_a_place() -> None:
    objects = read_bundle(SHIPPED / "objects")
    assert len(objects.labels) == 1000
    assert len(objects.card.foreign) == 834
    assert {"lion", "German shepherd", "umbrella", "crane (bird)"} <= set(objects.card.foreign)
    assert not {"pizza", "ice cream", "library", "seashore"} & set(objects.card.foreign)
    assert "Apache-2.0" in objects.card.license
    assert sum(path.stat().st_size for path in objects.folder.iterdir()) < 10_000_000


def test_the_shipped_bundles_have_room_in_the_wheel() -> None:
    """All files of theirs: `tests/wheel.py` allows 40 MB for everything."""
    files = [
        path for bundle in find(SHIPPED).values() if isinstance(bundle, Bundle) for path in bundle.folder.iterdir()
    ]
    assert sum(path.stat().st_size for path in files) < 38_000_000


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(1)], "regression"),
        ([keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3)], "backbone"),
        ([keras.Input((3, 16, 16)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")], "channels, last"),
        ([keras.Input((16,)), keras.layers.Dense(2, "softmax")], "height, width"),
        ([keras.Input((16,)), keras.layers.Embedding(9, 4), keras.layers.LSTM(2)], "Embedding.*texts, sounds"),
        (
            [keras.Input((None, None, 3)), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2, "softmax")],
            "size open",
        ),
    ],
)
def test_models_of_other_kinds_are_refused_for_what_they_are(tmp_path: Path, layers: list[Any], why: str) -> None:
    keras.Sequential(layers).save(tmp_path / "model.h5")
    (tmp_path / "labels.txt").write_text("a\nb\n")
    with pytest.raises(BundleError, match=why):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    ("part", "most"), [("labels.txt", 16_000_000), ("card.json", 16_000_000), ("model.h5", (1 << 31) - 1)]
)
def test_a_bundle_s_files_may_have_so_many_bytes_and_no_more(colours: Path, part: str, most: int) -> None:
    os.truncate(colours / part, most + 1)
    with pytest.raises(BundleError, match=rf"{part} has [\d,.]+ MB"):
        read_bundle(colours)
    assert MOST_BYTES[part] == most


def test_a_label_that_no_page_can_show_is_refused(colours: Path) -> None:
    """Every answer holds labels."""
    labels = colours / "labels.txt"
    labels.write_text("a\nb\n" + "c" * 1000 + "\n")
    assert len(read_bundle(colours).labels[2]) == 1000
    labels.write_text("a\nb\n" + "c" * 1001 + "\n")
    with pytest.raises(BundleError, match="a label of 1,001 characters, which begins 'ccc"):
        read_bundle(colours)
