from pathlib import Path

import numpy as np
import pytest

from app.lanes import open_lanes, photos_per_second
from models.bundle import read


@pytest.mark.parametrize(
    ("scheduling", "threads", "count", "batch"),
    [("parallel", 3, 3, 1), ("batch", 3, 1, 8), ("auto", 1, 1, 1)],
)
def test_the_way_that_is_asked_for(toy_bundle: Path, scheduling: str, threads: int, count: int, batch: int) -> None:
    lanes = open_lanes(read(toy_bundle / "colours"), "onnx", threads, scheduling, 8)
    assert (lanes.count, lanes.batch) == (count, batch)
    assert lanes.engine.predict(np.zeros((2, 16, 16, 3), np.uint8)).shape == (2, 3)


def test_one_of_the_two_is_chosen_by_measuring(toy_bundle: Path) -> None:
    bundle = read(toy_bundle / "colours")
    lanes = open_lanes(bundle, "onnx", 2, "auto", 8)
    assert (lanes.count, lanes.batch) in ((2, 1), (1, 8))
    assert photos_per_second(lanes, bundle, seconds=0.01) > 0


def test_keras_runs_in_one_lane(toy_bundle: Path) -> None:
    lanes = open_lanes(read(toy_bundle / "colours"), "keras", 4, "parallel", 8)
    assert (lanes.engine.kind, lanes.count, lanes.batch) == ("keras", 1, 8)
