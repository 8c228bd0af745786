import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from foodscene.app.inference.registry import Registry, stamp
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
    shutil.copytree(toy_bundle / "colours", tmp_path / "mine" / "former")
    (tmp_path / "mine" / "lost+found").mkdir()
    again(registry)
    assert set(registry.models) == {"current", "former"}


def test_a_bundle_that_is_being_copied_is_left_alone(registry: Registry, tmp_path: Path, toy_bundle: Path) -> None:
    (tmp_path / "two").mkdir()
    shutil.copy(toy_bundle / "colours" / "model.h5", tmp_path / "two")
    registry.refresh(settled=True)
    for part in ("labels.txt", "card.json"):
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


def test_your_own_h5_is_served(start: Callable[..., Any], tmp_path: Path, toy_bundle: Path, red: bytes) -> None:
    (tmp_path / "mine").mkdir()
    for part in ("model.h5", "labels.txt"):
        shutil.copy(toy_bundle / "colours" / part, tmp_path / "mine")
    client = start(models=tmp_path)
    assert client.get("/api/v1/models").json()["models"][0]["engine"] == "onnx"
    assert client.post("/api/v1/predict", files={"file": red}).json()["predictions"][0]["label"] == "red"


def test_without_labels_a_model_is_refused_with_how_many_it_needs(
    registry: Registry, tmp_path: Path, toy_bundle: Path
) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copy(toy_bundle / "colours" / "model.h5", tmp_path / "mine")
    again(registry)
    assert "with 3 lines" in registry.refused["mine"]
    (tmp_path / "mine" / "class_indices.json").write_text('{"red": 0, "green": 1, "blue": 2}')
    again(registry)
    assert registry.get("mine").bundle.labels == ("red", "green", "blue")


def test_a_refused_bundle_is_tried_again_when_its_permissions_change(registry: Registry, tmp_path: Path) -> None:
    labels = tmp_path / "one" / "labels.txt"
    locked = labels.rename(labels.with_name("kept"))
    labels.symlink_to("/etc/passwd")
    again(registry)
    assert "link out of" in registry.refused["one"]
    labels.unlink()
    locked.rename(labels)
    before = stamp(tmp_path / "one")
    labels.chmod(0o600)
    assert stamp(tmp_path / "one") != before
    again(registry)
    assert not registry.refused
    (tmp_path / "one").chmod(0o750)
    assert stamp(tmp_path / "one") != before


def test_a_bundle_that_may_not_be_read_is_refused_until_it_may(tmp_path: Path, toy_bundle: Path) -> None:
    """In a process that may not read everything, as a container's: what a mount leaves unreadable harms no other."""
    if os.geteuid():
        pytest.skip("needs the right to become somebody else")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and "pytest" in folder.as_posix():  # pytest's own, which others may not enter
            folder.chmod(0o755)
    for name in ("one", "locked"):
        shutil.copytree(toy_bundle / "colours", tmp_path / name)
    registry = Registry(Settings(models=tmp_path, threads=1, scheduling="parallel", load_seconds=0))
    (tmp_path / "locked").chmod(0o700)
    (tmp_path / "lost+found").mkdir(mode=0o700)
    os.seteuid(65534)
    try:
        again(registry)
        assert set(registry.models) == {"one"}
        assert set(registry.refused) == {"locked", "lost+found"}
        assert all("Permission denied" in reason for reason in registry.refused.values())
        os.seteuid(0)
        (tmp_path / "locked").chmod(0o755)
        os.seteuid(65534)
        again(registry)
        assert set(registry.models) == {"locked", "one"}
    finally:
        os.seteuid(0)


def test_the_last_good_models_go_on_when_their_folder_disappears(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = tmp_path.rename(tmp_path.with_name("elsewhere"))
    again(registry)
    again(registry)
    assert set(registry.models) == {"one"}
    assert len([line for line in caplog.messages if "is gone" in line]) == 1
    tmp_path.write_text("a file")
    again(registry)
    tmp_path.unlink()
    tmp_path.mkdir()  # as a mount point is without its disk
    again(registry)
    assert set(registry.models) == {"one"}
    tmp_path.rmdir()
    models.rename(tmp_path)
    (tmp_path / "one").rename(tmp_path / "two")
    again(registry)
    assert set(registry.models) == {"two"}
    shutil.rmtree(tmp_path / "two")  # it is there, and somebody emptied it
    again(registry)
    assert not registry.models


def test_a_linked_bundle_is_served_under_the_links_name_and_follows_it(
    registry: Registry, tmp_path: Path, toy_bundle: Path
) -> None:
    for version in ("v1", "v2"):
        shutil.copytree(toy_bundle / "colours", tmp_path / ".versions" / version)
    (tmp_path / ".versions" / "v2" / "labels.txt").write_text("rouge\nvert\nbleu\n")
    (tmp_path / "current").symlink_to(Path(".versions", "v1"))
    again(registry)
    assert registry.get("current").name == "current"
    assert registry.get("current").bundle.labels[0] == "red"
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to(Path(".versions", "v2"))
    again(registry)
    assert registry.get("current").bundle.labels[0] == "rouge"
    assert set(registry.models) == {"current", "one"}


def test_a_bundle_whose_name_is_no_text_is_refused_and_listed(
    start: Callable[..., Any], tmp_path: Path, toy_bundle: Path
) -> None:
    shutil.copytree(toy_bundle / "colours", tmp_path / "good")
    shutil.copytree(toy_bundle / "colours", tmp_path / os.fsdecode(b"bad\xff\x1b[31m"))
    listed = start(models=tmp_path).get("/api/v1/models").json()
    assert [model["name"] for model in listed["models"]] == ["good"]
    assert [one["name"] for one in listed["refused"]] == ["bad\\udcff\\x1b[31m"]


def test_a_models_page_reads_no_file(start: Callable[..., Any], tmp_path: Path, toy_bundle: Path) -> None:
    shutil.copytree(toy_bundle / "colours", tmp_path / "good")
    confusion = tmp_path / "good" / "confusion.json"
    confusion.write_text('{"labels": ["red", "green"], "matrix": [[1, 41], [0, 1]]}')
    client = start(models=tmp_path)
    confusion.unlink()
    os.mkfifo(confusion)
    assert "41" in client.get("/models/good").text
