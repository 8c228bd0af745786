from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image
from starlette.testclient import TestClient


def problem(answer: object) -> str:
    """The kind of problem that an answer is; fails if it is none as RFC 9457 wants it."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"] == body["error"]
    prefix, _, kind = body["type"].rpartition(":")
    assert prefix == "urn:foodscene:problem"
    return kind


@pytest.mark.parametrize("color", ["red", "green", "blue"])
def test_a_photo_comes_back_with_its_labels(client: TestClient, color: str) -> None:
    target = BytesIO()
    Image.new("RGB", (50, 50), {"green": "lime"}.get(color, color)).save(target, "JPEG")
    answer = client.post("/api/v1/predict", files={"file": target.getvalue()})
    assert answer.status_code == 200
    body = answer.json()
    assert body["model"] == "colours"
    assert body["predictions"][0]["label"] == color
    assert body["sure"] is True
    assert body["milliseconds"] > 0
    probabilities = [prediction["probability"] for prediction in body["predictions"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-4)


def test_a_photo_without_a_clear_label_is_not_sure(client: TestClient) -> None:
    target = BytesIO()
    Image.new("RGB", (50, 50), "gray").save(target, "PNG")
    assert client.post("/api/v1/predict", files={"file": target.getvalue()}).json()["sure"] is False


def test_top_k_says_how_many_labels(client: TestClient, red: bytes) -> None:
    for top_k, labels in (("1", 1), ("2", 2), ("1000", 3)):
        answer = client.post("/api/v1/predict", files={"file": red}, data={"top_k": top_k, "model": "colours"})
        assert len(answer.json()["predictions"]) == labels


@pytest.mark.parametrize("top_k", ["0", "-1", "1001", "five", "1.5", "", "٣", "1e2"])
def test_a_wrong_top_k_is_named(client: TestClient, red: bytes, top_k: str) -> None:
    answer = client.post("/api/v1/predict", files={"file": red}, data={"top_k": top_k})
    assert (answer.status_code, problem(answer)) == (422, "bad-parameter")
    assert "top_k" in answer.json()["detail"]


def test_bad_uploads_have_their_own_status(client: TestClient, red: bytes) -> None:
    cases = [
        (b"", 400, "broken-upload"),
        (red[: len(red) // 2], 400, "broken-upload"),
        (b"#!/bin/sh\necho no image\n", 415, "unsupported-photo"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported-photo"),
    ]
    for content, status, kind in cases:
        answer = client.post("/api/v1/predict", files={"file": ("photo.jpg", content, "image/jpeg")})
        assert (answer.status_code, problem(answer)) == (status, kind)


@pytest.mark.slow
def test_a_pixel_bomb_is_refused_from_its_header(client: TestClient) -> None:
    bomb = BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    answer = client.post("/api/v1/predict", files={"file": bomb.getvalue()})
    assert (answer.status_code, problem(answer)) == (413, "too-large")


def test_a_jpeg_that_lacks_its_end_is_answered_and_said_to(client: TestClient) -> None:
    target = BytesIO()
    Image.new("RGB", (400, 300), "red").save(target, "JPEG")
    whole, cut = target.getvalue(), target.getvalue()[:-2]
    body = client.post("/api/v1/predict", files={"file": cut}).json()
    assert body["predictions"][0]["label"] == "red"
    assert body["truncated"] is True
    assert "truncated" not in client.post("/api/v1/predict", files={"file": whole}).json()
    batch = client.post("/api/v1/predict/batch", files=[("files", whole), ("files", cut)]).json()["results"]
    assert [result["answer"].get("truncated") for result in batch] == [None, True]


@pytest.mark.slow
def test_a_large_photo_is_answered_by_a_helper_as_a_small_one(client: TestClient) -> None:
    target = BytesIO()
    Image.new("RGB", (5000, 5000), "blue").save(target, "PNG")
    answer = client.post("/api/v1/predict", files={"file": target.getvalue()}).json()
    assert answer["predictions"][0]["label"] == "blue"
    assert client.post("/preview", files={"file": target.getvalue()}).headers["content-type"] == "image/jpeg"


def test_a_missing_photo_and_two_photos_are_named(client: TestClient, red: bytes) -> None:
    nothing = client.post("/api/v1/predict")
    other_field = client.post("/api/v1/predict", files={"model": (None, "colours")})
    two = client.post("/api/v1/predict", files=[("file", red), ("file", red)])
    for answer in (nothing, other_field, two):
        assert (answer.status_code, problem(answer)) == (422, "bad-parameter")


def test_an_unknown_model_is_named(client: TestClient, red: bytes) -> None:
    answer = client.post("/api/v1/predict", files={"file": red}, data={"model": "../../etc"})
    assert (answer.status_code, problem(answer)) == (404, "unknown-model")
    assert "colours" in answer.json()["detail"]


def test_a_body_that_is_no_form_is_named(client: TestClient, red: bytes) -> None:
    answer = client.post("/api/v1/predict", content=red, headers={"content-type": "image/png"})
    assert (answer.status_code, problem(answer)) == (415, "unsupported-media-type")


def test_a_batch_gives_each_photo_its_own_result(client: TestClient, red: bytes) -> None:
    answer = client.post("/api/v1/predict/batch", files=[("files", red), ("files", b"nothing"), ("files", red)])
    assert answer.status_code == 200
    first, second, third = answer.json()["results"]
    assert first["answer"]["predictions"][0]["label"] == third["answer"]["predictions"][0]["label"] == "red"
    assert second["problem"]["status"] == 415


def test_a_batch_has_a_limit(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(max_files=2)
    answer = client.post("/api/v1/predict/batch", files=[("files", red)] * 3)
    assert (answer.status_code, problem(answer)) == (422, "bad-parameter")
    assert client.post("/api/v1/predict/batch", files=[("files", red)] * 2).status_code == 200


def test_a_batch_larger_than_the_queue_is_refused_whole(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(queue=2)
    answer = client.post("/api/v1/predict/batch", files=[("files", red)] * 3)
    assert (answer.status_code, problem(answer)) == (503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    assert client.app.state.service.scheduler.depth == 0
    assert client.post("/api/v1/predict", files={"file": red}).status_code == 200
