"""Bundles that hang, or take more than they may, end in a process of their own, and are refused by name."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from foodscene.app.inference.registry import Registry
from foodscene.app.inference.trials import TooSlow, Trials
from foodscene.app.settings import Settings
from foodscene.models.bundle import BundleError, read_bundle
from foodscene.models.engine import COMPILED_FROM


def compiled(folder: Path, nodes: list[onnx.NodeProto], weights: list[TensorProto]) -> Path:
    """A copy of the toy bundle, whose model.onnx is made of these operators and claims to be compiled from its .h5."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (None, 16, 16, 3))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "graph", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    model.metadata_props.add(key=COMPILED_FROM, value=read_bundle(folder).sha256)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


def slow(folder: Path) -> Path:
    """Small in everything but the time that it takes: a photo costs minutes."""
    wide = numpy_helper.from_array(np.array([1, 1000, 1000, 3], np.int64), "wide")
    kernel = numpy_helper.from_array(np.ones((16, 16, 5, 5), np.float32), "kernel")
    lift = numpy_helper.from_array(np.ones((16, 3, 1, 1), np.float32), "lift")
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Resize", ["t", "", "", "wide"], ["r"]),
        helper.make_node("Conv", ["r", "lift"], ["c0"]),
        *(helper.make_node("Conv", [f"c{n}", "kernel"], [f"c{n + 1}"], pads=[2, 2, 2, 2]) for n in range(3000)),
        helper.make_node("ReduceMean", ["c3000"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["m"], ["y"], axis=1),
    ]
    wide = numpy_helper.from_array(np.array([1, 3, 1000, 1000], np.int64), "wide")
    return compiled(folder, nodes, [wide, kernel, lift])


def greedy(folder: Path) -> Path:
    """Small in every tensor, and large in their number: all are kept to the end."""
    sizes = numpy_helper.from_array(np.array([100_000_000], np.int64), "sizes")
    many = [helper.make_node("ConstantOfShape", ["sizes"], [f"c{n}"]) for n in range(200)]
    nodes = [
        *many,
        helper.make_node("Sum", [f"c{n}" for n in range(200)], ["s"]),
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2], keepdims=0),
        helper.make_node("Softmax", ["m"], ["y"], axis=1),
    ]
    return compiled(folder, nodes, [sizes])


@pytest.fixture
def bundle(toy_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_bundle / "colours", tmp_path / "models" / "bundle"))


def test_a_bundle_that_can_be_loaded_passes(bundle: Path) -> None:
    Trials(Settings(threads=1)).run(bundle, 60)
    (bundle / "labels.txt").unlink()
    with pytest.raises(BundleError, match=r"no labels\.txt"):
        Trials(Settings(threads=1)).run(bundle, 60)


def test_a_bundle_that_hangs_is_refused_by_name_when_its_time_is_up(bundle: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TooSlow, match="bundle is not loaded after 3 s"):
        Trials(Settings(threads=1, engine="onnx")).run(slow(bundle), 3)
    assert time.monotonic() - started < 6


def test_a_bundle_that_takes_too_much_memory_is_refused_by_name(bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"^bundle"):
        Trials(Settings(threads=1, engine="onnx", load_memory_mb=1000)).run(greedy(bundle), 60)


def test_the_others_are_served_before_one_that_hangs_is_given_up(
    bundle: Path, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foodscene.app.inference.registry._AT_FIRST", 4)
    slow(bundle.rename(bundle.with_name("a-slow")))
    shutil.copytree(toy_bundle / "colours", bundle.with_name("z-good"))
    registry = Registry(Settings(models=bundle.parent, threads=1, load_seconds=5, engine="onnx"))
    looked: list[set[str]] = []
    run = Trials.run
    monkeypatch.setattr(Trials, "run", lambda self, *given: (looked.append(set(registry.models)), run(self, *given)))
    registry.refresh()
    assert looked == [set(), set(), {"z-good"}]  # the slow one, the other, and the slow one again
    assert "a-slow is not loaded after 5 s" in registry.refused["a-slow"]


def test_those_that_ship_or_are_trusted_are_loaded_at_once(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(Trials, "run", fail)
    shipped = Registry(Settings(threads=1, scheduling="parallel"))
    trusted = Registry(Settings(models=bundle.parent, load_seconds=0, threads=1, scheduling="parallel"))
    for registry in (shipped, trusted):
        registry.refresh()
        assert registry.models
        assert not registry.refused


@pytest.mark.slow
def test_hostile_folders_beside_a_good_one_are_refused_and_it_serves(
    serve: Callable[..., Any], bundle: Path, toy_bundle: Path
) -> None:
    root = bundle.parent
    shutil.copytree(bundle, root / "good")
    slow(bundle.rename(root / "slow"))
    shutil.copytree(root / "good", root / "pipe")
    os.mkfifo(root / "pipe" / "confusion.json")
    shutil.copytree(root / "good", root / "sparse")
    os.truncate(root / "sparse" / "model.onnx", 500_000_000_000)
    shutil.copytree(root / "good", root / "device")
    (root / "device" / "labels.txt").unlink()
    (root / "device" / "labels.txt").symlink_to("/dev/zero")
    server = serve("--models", str(root), FOODSCENE_LOAD_SECONDS="8", FOODSCENE_ENGINE="onnx")
    until = time.monotonic() + 60
    while len((said := httpx.get(f"{server.url}/api/v1/models").json())["refused"]) < 4:
        assert time.monotonic() < until, said
        assert [model["name"] for model in said["models"]] == ["good"]
        time.sleep(0.2)
    refused = {one["name"]: one["reason"] for one in said["refused"]}
    assert list(refused) == ["device", "pipe", "slow", "sparse"]
    assert "link out of" in refused["device"]
    assert "500,000.0 MB" in refused["sparse"]
    assert "8 s" in refused["slow"]
    assert "confusion.json is a pipe" in refused["pipe"]


@pytest.mark.slow
def test_a_service_that_is_stopped_does_not_wait_for_a_bundle_that_hangs(
    serve: Callable[..., Any], bundle: Path, toy_bundle: Path
) -> None:
    shutil.copytree(toy_bundle / "colours", bundle.with_name("a-good"))
    server = serve("--models", str(slow(bundle).parent), FOODSCENE_ENGINE="onnx")
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 5
