"""Bundles that hang, or take more than they may, end in a process of their own, and are refused by name."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from foodscene.app.inference.registry import Registry
from foodscene.app.inference.trials import TooSlow, Trials
from foodscene.app.settings import Settings
from foodscene.models.bundle import BundleError
from tests.models.graph.files import entry, functional, write_h5

pytestmark = pytest.mark.slow


def slow(folder: Path) -> Path:
    """Small in everything but the time that it takes: one layer, called again and again on a large image."""
    calls = 2000
    wide = entry("UpSampling2D", "wide", "photo", size=[60, 60])
    lift = entry("Conv2D", "lift", "wide", filters=16, kernel_size=[1, 1], use_bias=False)
    again = entry("Conv2D", "again", filters=16, kernel_size=[5, 5], padding="same", use_bias=False)
    again["inbound_nodes"] = [[["lift", 0, 0, {}]], *([["again", call, 0, {}]] for call in range(calls))]
    mean = entry("GlobalAveragePooling2D", "mean")
    mean["inbound_nodes"] = [[["again", calls, 0, {}]]]
    return told(folder, wide, lift, again, mean)


def greedy(folder: Path) -> Path:
    """Small in every answer of a layer, and large in their number: all are kept to the end."""
    many = [entry("UpSampling2D", f"wide_{number}", "photo", size=[125 + number, 125]) for number in range(40)]
    cut = [
        entry("Cropping2D", f"cut_{number}", f"wide_{number}", cropping=[[0, 16 * number], [0, 0]])
        for number in range(40)
    ]
    whole = entry("Maximum", "all", *(layer["name"] for layer in cut))
    return told(folder, *many, *cut, whole, entry("GlobalAveragePooling2D", "mean", "all"))


def told(folder: Path, *layers: dict[str, Any]) -> Path:
    """The bundle with a model of these layers, from `photo` to `mean`, in the place of its own."""
    first = entry("InputLayer", "photo", batch_input_shape=[None, 16, 16, 3])
    last = entry("Dense", "last", "mean", units=3, activation="softmax", use_bias=False)
    rng = np.random.default_rng(0)
    shapes = {"lift": (1, 1, 3, 16), "again": (5, 5, 16, 16), "last": (16, 3)}
    if layers[0]["name"] != "wide":
        shapes = {"last": (3, 3)}
    groups = {name: {f"{name}/kernel:0": rng.normal(0, 0.01, shape).astype("f4")} for name, shape in shapes.items()}
    write_h5(folder / "model.h5", functional(first, *layers, last, output="last"), groups)
    (folder / "card.json").unlink()
    return folder


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


@pytest.mark.nightly
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


@pytest.mark.nightly
def test_hostile_folders_beside_a_good_one_are_refused_and_it_serves(
    serve: Callable[..., Any], bundle: Path, toy_bundle: Path
) -> None:
    root = bundle.parent
    shutil.copytree(bundle, root / "good")
    slow(bundle.rename(root / "slow"))
    shutil.copytree(root / "good", root / "pipe")
    os.mkfifo(root / "pipe" / "confusion.json")
    shutil.copytree(root / "good", root / "sparse")
    os.truncate(root / "sparse" / "model.h5", 500_000_000_000)
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


@pytest.mark.nightly
def test_a_service_that_is_stopped_does_not_wait_for_a_bundle_that_hangs(
    serve: Callable[..., Any], bundle: Path, toy_bundle: Path
) -> None:
    shutil.copytree(toy_bundle / "colours", bundle.with_name("a-good"))
    server = serve("--models", str(slow(bundle).parent), FOODSCENE_ENGINE="onnx")
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 5
