"""Photos are really altered, and the figures show it."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from foodscene.models.bundle import Bundle
from foodscene.models.engine import open_engine
from foodscene.training.data.load import Data
from foodscene.training.evaluation import inference, robustness


class Exact:
    """An engine that knows its photos by heart: right where every pixel is as it was, wrong where one is not."""

    kind = "onnx"

    def __init__(self, photos: NDArray[np.uint8], targets: NDArray[np.int64]) -> None:
        self._known = {photo.tobytes(): truth for photo, truth in zip(photos, targets, strict=True)}

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        predicted = [self._known.get(photo.tobytes(), 6) for photo in pixels]
        return np.eye(7, dtype=np.float32)[predicted]


@pytest.mark.parametrize("channels", [1, 3])
def test_every_way_alters_every_photo(channels: int) -> None:
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, (40, 24, 24, channels), dtype=np.uint8)
    targets = rng.integers(0, 6, 40)
    untouched, *altered = robustness.measure_altered(Exact(photos, targets), photos, np.arange(40), targets)
    assert untouched.top1.value == 1.0
    assert len(altered) > 25
    for row in altered:
        # A photo drawn not to move at all would be right: with two flips of 1/2 each that needs the rest to be still.
        assert row.top1.value < 0.1, row.name


def test_a_slow_network_is_shown_fewer_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    class Slow(Exact):
        def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            shown.append(len(pixels))
            time.sleep(0.0005 * len(pixels))
            return super().predict(pixels)

    monkeypatch.setattr(robustness, "SECONDS", 0.5)
    photos, targets = np.zeros((300, 8, 8, 3), np.uint8), np.zeros(300, np.int64)
    rows = robustness.measure_altered(Slow(photos, targets), photos, np.arange(300), targets)
    assert sum(shown) == 64 + 32 * len(rows), "two times to find out, and then as few as there may be"


@pytest.mark.slow
def test_a_trained_model_gets_worse_with_what_is_done_to_photos(
    scenes_cnn: Bundle, scenes: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robustness, "MOST", 60)
    targets = inference.match(scenes.classes, scenes_cnn.labels)[scenes.labels]
    engine = open_engine(scenes_cnn, threads=1)
    untouched, *altered = robustness.measure_altered(engine, scenes.pixels, scenes.test, targets)
    reported = [row.top1.value for row in altered[:3]]
    assert untouched.top1.value > reported[0] >= reported[1] > reported[2], "the report's rows all read the same"
    for kind, points in robustness.curves([untouched, *altered]).items():
        assert min(top1 for _, top1 in points) < untouched.top1.value - 0.03, kind


def test_the_reports_three_rows_come_first() -> None:
    names = [name for name, *_ in robustness.ways()][1:4]
    assert names[0] == "rotation 45°, shifts 0.1 high and 0.1 wide"
    assert names[2] == "rotation 180°, shifts 0.3 high and 0.4 wide, flips"


def test_alterations_do_what_they_say() -> None:
    ways = {name: alter for name, *_, alter in robustness.ways()}
    rng = np.random.default_rng(0)
    gray = np.full((1, 32, 32, 3), 100, np.uint8)
    assert (ways["brightness x 0.5"](gray, rng) == 50).all()
    assert (ways["brightness x 2"](gray, rng) == 200).all()
    assert ways["noise 20"](gray, rng).std() == pytest.approx(20, rel=0.1)
    red = gray.copy()
    red[..., 0] = 250
    assert np.abs(ways["JPEG quality 50"](red, rng).astype(int) - red).max() < 12, "channels must keep their places"

    square = np.zeros((1, 32, 32, 1), np.uint8)
    square[:, 12:20, 12:20] = 255
    assert (ways["scale x 2"](square, rng) > 127).sum() == pytest.approx(16 * 16, rel=0.15)
    assert (ways["scale x 0.5"](square, rng)[:, 8:24, 8:24] > 127).sum() == pytest.approx(4 * 4, rel=0.2)
    assert ways["blur 2 px"](square, rng).max() < 255


def test_curves_start_at_doing_nothing() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    targets = np.zeros(8, np.int64)
    rows = robustness.measure_altered(Exact(photos, targets), photos, np.arange(8), targets)
    curves = robustness.curves(rows)
    assert curves["noise"][0] == (0.0, 1.0)
    assert (1.0, 1.0) in curves["brightness"]
    assert all(points == sorted(points) for points in curves.values())
