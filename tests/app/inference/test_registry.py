import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from foodscene.app.inference.registry import Registry
from foodscene.app.problems import Problem
from foodscene.app.settings import Settings


@pytest.fixture
def registry(tmp_path: Path, toy_bundle: Path) -> Registry:
    shutil.copytree(toy_bundle / "colours", tmp_path / "one")
    registry = Registry(Settings(models=tmp_path, threads=1, scheduling="parallel"))
    registry.refresh()
    return registry


def again(registry: Registry) -> None:
    """Look twice: what is new is loaded when it has not changed between two looks."""
    registry.refresh(settled=True)
    registry.refresh(settled=True)


def test_bundles_are_picked_up_and_removed(registry: Registry, tmp_path: Path, toy_bundle: Path) -> None:
    assert set(registry.models) == {"one"}
    shutil.copytree(toy_bundle / "colours", tmp_path / "two")
    again(registry)
    assert set(registry.models) == {"one", "two"}
    shutil.rmtree(tmp_path / "one")
    again(registry)
    assert set(registry.models) == {"two"}
    assert registry.default == "two"


def test_one_bundle_s_own_folder_is_served_and_followed(
    tmp_path: Path, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(toy_bundle / "colours", tmp_path / "mine")
    (tmp_path / "current").symlink_to("mine")
    monkeypatch.chdir(tmp_path / "mine")
    for folder, name in (
        (tmp_path / "mine", "mine"),
        (Path(), "mine"),
        (Path("../mine"), "mine"),
        (tmp_path / "current", "current"),
    ):
        registry = Registry(Settings(models=folder, threads=1, scheduling="parallel"))
        registry.refresh()
        assert set(registry.models) == {name}
        assert registry.default == name
    (tmp_path / "mine" / "labels.txt").write_text("rouge\nvert\nbleu\n")
    again(registry)
    assert registry.get("current").bundle.labels == ("rouge", "vert", "bleu")


def test_a_bundle_that_is_being_copied_is_left_alone(registry: Registry, tmp_path: Path, toy_bundle: Path) -> None:
    (tmp_path / "two").mkdir()
    shutil.copy(toy_bundle / "colours" / "model.h5", tmp_path / "two")
    registry.refresh(settled=True)
    for part in ("labels.txt", "card.json", "model.onnx"):
        shutil.copy(toy_bundle / "colours" / part, tmp_path / "two")
        registry.refresh(settled=True)
        assert "two" not in registry.models
        assert "two" not in registry.refused
    registry.refresh(settled=True)
    assert "two" in registry.models


def test_a_changed_bundle_takes_the_place_of_its_former_self(registry: Registry, tmp_path: Path) -> None:
    before = registry.get("one")
    again(registry)
    assert registry.get("one") is before
    (tmp_path / "one" / "labels.txt").write_text("rouge\nvert\nbleu\n")
    again(registry)
    assert registry.get("one").bundle.labels == ("rouge", "vert", "bleu")
    assert before.bundle.labels == ("red", "green", "blue")


def test_a_spoilt_bundle_is_refused_and_its_former_self_goes_on(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "one" / "labels.txt").write_text("rouge\nvert\n")
    again(registry)
    assert registry.get("one").bundle.labels == ("red", "green", "blue")
    assert "2 labels" in registry.refused["one"]
    (tmp_path / "one" / "labels.txt").write_text("rouge\nvert\nbleu\n")
    again(registry)
    assert registry.get("one").bundle.labels[0] == "rouge"
    assert not registry.refused


def test_a_hostile_bundle_is_refused_without_running_it(
    registry: Registry, tmp_path: Path, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(toy_bundle / "colours", tmp_path / "evil")
    (tmp_path / "evil" / "model.onnx").unlink()
    (tmp_path / "evil" / "card.json").unlink()
    with h5py.File(tmp_path / "evil" / "model.h5", "r+") as file:
        config = file.attrs["model_config"]
        config = config.decode() if isinstance(config, bytes) else config
        file.attrs["model_config"] = config.replace('"class_name": "Rescaling"', '"class_name": "Lambda"')
    again(registry)
    assert "Lambda" in registry.refused["evil"]
    assert set(registry.models) == {"one"}


def test_an_unexpected_error_refuses_one_bundle_only(
    registry: Registry, tmp_path: Path, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("surprise")

    shutil.copytree(toy_bundle / "colours", tmp_path / "two")
    monkeypatch.setattr("foodscene.app.inference.registry.open_sessions", fail)
    again(registry)
    assert "two" in registry.refused
    assert "one" in registry.models


def test_a_missing_model_and_an_empty_folder_say_so(registry: Registry, tmp_path: Path) -> None:
    empty = Registry(Settings(models=tmp_path / "none", threads=1))
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
    registry = Registry(Settings(models=tmp_path, threads=1))
    registry.refresh()
    assert "foodscene compile" in registry.refused["mine"]
