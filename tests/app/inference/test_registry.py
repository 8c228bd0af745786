import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from foodscene.app.inference.registry import Library
from foodscene.app.problems import Problem
from foodscene.app.settings import Settings


@pytest.fixture
def library(tmp_path: Path, toy_bundle: Path) -> Library:
    shutil.copytree(toy_bundle / "colours", tmp_path / "one")
    library = Library(Settings(models=tmp_path, threads=1, scheduling="parallel"))
    library.refresh()
    return library


def again(library: Library) -> None:
    """Look twice: what is new is loaded when it has not changed between two looks."""
    library.refresh(settled=True)
    library.refresh(settled=True)


def test_bundles_are_picked_up_and_removed(library: Library, tmp_path: Path, toy_bundle: Path) -> None:
    assert set(library.models) == {"one"}
    shutil.copytree(toy_bundle / "colours", tmp_path / "two")
    again(library)
    assert set(library.models) == {"one", "two"}
    shutil.rmtree(tmp_path / "one")
    again(library)
    assert set(library.models) == {"two"}
    assert library.default == "two"


def test_a_bundle_that_is_being_copied_is_left_alone(library: Library, tmp_path: Path, toy_bundle: Path) -> None:
    (tmp_path / "two").mkdir()
    shutil.copy(toy_bundle / "colours" / "model.h5", tmp_path / "two")
    library.refresh(settled=True)
    for part in ("labels.txt", "card.json", "model.onnx"):
        shutil.copy(toy_bundle / "colours" / part, tmp_path / "two")
        library.refresh(settled=True)
        assert "two" not in library.models
        assert "two" not in library.refused
    library.refresh(settled=True)
    assert "two" in library.models


def test_a_changed_bundle_takes_the_place_of_its_former_self(library: Library, tmp_path: Path) -> None:
    before = library.get("one")
    again(library)
    assert library.get("one") is before
    (tmp_path / "one" / "labels.txt").write_text("rouge\nvert\nbleu\n")
    again(library)
    assert library.get("one").bundle.labels == ("rouge", "vert", "bleu")
    assert before.bundle.labels == ("red", "green", "blue")


def test_a_spoilt_bundle_is_refused_and_its_former_self_goes_on(library: Library, tmp_path: Path) -> None:
    (tmp_path / "one" / "labels.txt").write_text("rouge\nvert\n")
    again(library)
    assert library.get("one").bundle.labels == ("red", "green", "blue")
    assert "2 labels" in library.refused["one"]
    (tmp_path / "one" / "labels.txt").write_text("rouge\nvert\nbleu\n")
    again(library)
    assert library.get("one").bundle.labels[0] == "rouge"
    assert not library.refused


def test_a_hostile_bundle_is_refused_without_running_it(
    library: Library, tmp_path: Path, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(toy_bundle / "colours", tmp_path / "evil")
    (tmp_path / "evil" / "model.onnx").unlink()
    (tmp_path / "evil" / "card.json").unlink()
    with h5py.File(tmp_path / "evil" / "model.h5", "r+") as file:
        config = file.attrs["model_config"]
        config = config.decode() if isinstance(config, bytes) else config
        file.attrs["model_config"] = config.replace('"class_name": "Rescaling"', '"class_name": "Lambda"')
    again(library)
    assert "Lambda" in library.refused["evil"]
    assert set(library.models) == {"one"}


def test_an_unexpected_error_refuses_one_bundle_only(
    library: Library, tmp_path: Path, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("surprise")

    shutil.copytree(toy_bundle / "colours", tmp_path / "two")
    monkeypatch.setattr("foodscene.app.inference.registry.open_lanes", fail)
    again(library)
    assert "two" in library.refused
    assert "one" in library.models


def test_a_missing_model_and_an_empty_folder_say_so(library: Library, tmp_path: Path) -> None:
    empty = Library(Settings(models=tmp_path / "none", threads=1))
    with pytest.raises(Problem) as caught:
        empty.get(None)
    assert caught.value.kind == "not-ready"
    empty.refresh()
    empty.complete = True
    with pytest.raises(Problem) as caught:
        empty.get(None)
    assert caught.value.kind == "unknown-model"


def test_your_own_h5_is_served_by_keras(
    start: Callable[..., Any], tmp_path: Path, toy_bundle: Path, red: bytes
) -> None:
    (tmp_path / "mine").mkdir()
    for part in ("model.h5", "labels.txt"):
        shutil.copy(toy_bundle / "colours" / part, tmp_path / "mine")
    client = start(models=tmp_path)
    assert client.get("/api/v1/models").json()["models"][0]["engine"] == "keras"
    assert client.post("/api/v1/predict", files={"file": red}).json()["predictions"][0]["label"] == "red"


def test_without_keras_your_own_h5_is_refused_with_advice(
    tmp_path: Path, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    for part in ("model.h5", "labels.txt"):
        shutil.copy(toy_bundle / "colours" / part, tmp_path / "mine")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    library = Library(Settings(models=tmp_path, threads=1))
    library.refresh()
    assert "foodscene compile" in library.refused["mine"]
