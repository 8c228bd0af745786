import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from foodscene.app.inference import occlusion
from foodscene.app.inference.scheduler import Scheduler
from foodscene.models.pixels import InputSpec


def test_the_part_that_decided_is_the_hottest(client: TestClient) -> None:
    pixels = np.full((64, 64, 3), 90, np.uint8)
    pixels[:20, 40:] = (255, 0, 0)  # top right
    target = BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    answer = client.post("/api/v1/explain", files={"file": target.getvalue()}).json()
    grid = np.array(answer["grid"])
    assert (answer["label"], answer["area"]) == ("red", [0, 0, 1, 1])
    assert grid.shape == (10, 10)
    assert (grid.min(), grid.max()) == (0, 1)
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    assert row < 4
    assert column > 5
    assert answer["strongest"] > 0.01


def test_any_label_can_be_explained_but_no_made_up_one(client: TestClient, red: bytes) -> None:
    answer = client.post("/api/v1/explain", files={"file": red}, data={"label": "blue"})
    assert answer.json()["label"] == "blue"
    assert client.post("/api/v1/explain", files={"file": red}, data={"label": "pink"}).status_code == 422


def test_a_photo_that_cannot_be_read_is_refused_as_for_predict(client: TestClient) -> None:
    assert client.post("/api/v1/explain", files={"file": b"nothing"}).status_code == 415


def test_explanations_have_a_queue_of_their_own(start: Callable[..., TestClient], red: bytes) -> None:
    """However many are asked for, answers to others come as soon as ever, and nobody is refused for their sake."""
    client = start(queue=8, side_queue=3, threads=2)

    def explain(_: int) -> int:
        return client.post("/api/v1/explain", files={"file": red}).status_code

    with ThreadPoolExecutor(12) as pool:
        explained = [pool.submit(explain, number) for number in range(24)]
        predicted = []
        while not all(one.done() for one in explained):
            predicted.append(client.post("/api/v1/predict", files={"file": red}).status_code)
    assert set(predicted) == {200}
    assert {one.result() for one in explained} == {200, 503}


def test_an_explanation_obeys_the_deadline(
    start: Callable[..., TestClient], red: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(deadline_seconds=0.3)
    original = occlusion.occlude

    def slowly(*arguments: np.ndarray) -> np.ndarray:
        time.sleep(0.2)
        return original(*arguments)

    monkeypatch.setattr("foodscene.app.routes.explain.occlude", slowly)
    started = time.monotonic()
    assert client.post("/api/v1/explain", files={"file": red}).status_code == 504
    assert time.monotonic() - started < 2
    service = client.app.state.service
    assert (service.explanations.depth, service.scheduler.depth) == (0, 0)


def test_nobody_waits_for_the_size_of_an_explained_photo(
    start: Callable[..., TestClient], red: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start()
    looking, found = threading.Event(), threading.Event()

    def slowly(_: bytes, __: InputSpec) -> tuple[float, ...]:
        looking.set()
        assert found.wait(10)
        return 0.0, 0.0, 1.0, 1.0

    monkeypatch.setattr("foodscene.app.routes.explain.area", slowly)
    with ThreadPoolExecutor(1) as pool:
        explained = pool.submit(client.post, "/api/v1/explain", files={"file": red})
        assert looking.wait(10)
        assert client.post("/api/v1/predict", files={"file": red}).status_code == 200
        found.set()
        assert explained.result().status_code == 200


def test_an_explanation_takes_no_more_of_the_queue_than_there_are_sessions(
    start: Callable[..., TestClient], red: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(threads=2)
    most: list[int] = []
    submit = Scheduler.submit

    def counted(self: Scheduler, *arguments: object) -> object:
        jobs = submit(self, *arguments)  # type: ignore[arg-type]
        most.append(self.depth)
        return jobs

    monkeypatch.setattr(Scheduler, "submit", counted)
    assert client.post("/api/v1/explain", files={"file": red}).status_code == 200
    assert max(most) <= 2
