from pathlib import Path

import numpy as np
import pytest

from foodscene.app.inference import sessions as module
from foodscene.app.inference.sessions import open_sessions, photos_per_second
from foodscene.models.bundle import read_bundle


@pytest.mark.parametrize(("scheduling", "threads", "batch"), [("parallel", 3, 1), ("batch", 3, 8), ("auto", 1, 1)])
def test_the_way_that_is_asked_for(toy_bundle: Path, scheduling: str, threads: int, batch: int) -> None:
    sessions = open_sessions(read_bundle(toy_bundle / "colours"), "onnx", threads, scheduling, 8)
    assert (sessions.count, sessions.batch) == (1, batch)
    assert sessions.engine.predict(np.zeros((2, 16, 16, 3), np.uint8)).shape == (2, 3)


@pytest.mark.parametrize(("milliseconds", "count"), [(0.1, 1), (1, 2), (4, 3), (30, 4)])
def test_a_small_network_leaves_cores_for_what_is_around_it(
    toy_bundle: Path, monkeypatch: pytest.MonkeyPatch, milliseconds: float, count: int
) -> None:
    monkeypatch.setattr(module, "photos_per_second", lambda sessions, *_: sessions.count * 1000 / milliseconds)
    sessions = open_sessions(read_bundle(toy_bundle / "colours"), "onnx", 4, "parallel", 8)
    assert sessions.count == count


@pytest.mark.parametrize(("together", "batch"), [(1000, 1), (1090, 1), (1110, 8)])
def test_one_of_the_two_is_chosen_by_measuring(
    toy_bundle: Path, monkeypatch: pytest.MonkeyPatch, together: float, batch: int
) -> None:
    """Batches have to be clearly faster: they make photos wait for each other."""
    speeds = {1: 1000.0, 8: together}
    monkeypatch.setattr(module, "photos_per_second", lambda sessions, *_, **__: speeds[sessions.batch])
    sessions = open_sessions(read_bundle(toy_bundle / "colours"), "onnx", 2, "auto", 8)
    assert sessions.batch == batch


def test_the_speed_is_measured(toy_bundle: Path) -> None:
    bundle = read_bundle(toy_bundle / "colours")
    sessions = open_sessions(bundle, "onnx", 2, "batch", 8)
    assert photos_per_second(sessions, bundle, seconds=0.01) > 0


def test_keras_runs_in_one_session(toy_bundle: Path) -> None:
    sessions = open_sessions(read_bundle(toy_bundle / "colours"), "keras", 4, "parallel", 8)
    assert (sessions.engine.kind, sessions.count, sessions.batch) == ("keras", 1, 8)
