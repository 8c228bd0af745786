import base64
import gzip
import json
import resource
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import keras
import numpy as np
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
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "application/pdf"):
        answer = client.post("/api/v1/predict", content=red, headers={"content-type": kind})
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


def test_a_batch_may_have_as_many_photos_as_is_set(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(max_files=250, queue=300)
    answer = client.post("/api/v1/predict/batch", files=[("files", red)] * 250, data={"top_k": "1"})
    assert len(answer.json()["results"]) == 250


def test_a_batch_larger_than_the_queue_is_refused_whole(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(queue=2)
    answer = client.post("/api/v1/predict/batch", files=[("files", red)] * 3)
    assert (answer.status_code, problem(answer)) == (503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    assert client.app.state.service.scheduler.depth == 0
    assert client.post("/api/v1/predict", files={"file": red}).status_code == 200


def test_labels_that_are_answered_each_by_itself(start: Callable[..., Any], tmp_path: Path, red: bytes) -> None:
    inputs = keras.Input((16, 16, 3))
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="sigmoid")(hidden))
    model.layers[-1].set_weights([np.array([[9, 9, -9], [0, 0, 0], [0, 0, 0]]), np.zeros(3)])
    (tmp_path / "several").mkdir()
    model.save(tmp_path / "several" / "model.h5")
    (tmp_path / "several" / "labels.txt").write_text("warm\nred\ncold\n")
    client = start(models=tmp_path)
    answer = client.post("/api/v1/predict", files={"file": red}).json()
    assert {one["label"]: one["sure"] for one in answer["predictions"]} == {"warm": True, "red": True, "cold": False}
    assert sum(one["probability"] for one in answer["predictions"]) > 1.5
    assert client.get("/api/v1/models").json()["models"][0]["output"] == "multi_label"
    page = client.post("/", files={"file": red}).text
    assert "warm, red</h2>" in page.lower() or "red, warm</h2>" in page.lower()
    assert "do not add up" in client.get("/models/several").text


def test_the_query_is_honoured(client: TestClient, red: bytes) -> None:
    for route in ("/api/v1/predict?model=colours&top_k=1", "/api/v1/predict?top_k=1"):
        answer = client.post(route, files={"file": red})
        assert len(answer.json()["predictions"]) == 1
    batch = client.post("/api/v1/predict/batch?top_k=2", files=[("files", red)]).json()["results"]
    assert len(batch[0]["answer"]["predictions"]) == 2
    same = client.post("/api/v1/predict?top_k=2", files={"file": red}, data={"top_k": "2"})
    assert len(same.json()["predictions"]) == 2
    assert client.post("/api/v1/explain?label=green", files={"file": red}).json()["label"] == "green"
    assert len(client.post("/models/colours?top_k=2", content=red).json()) == 2


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("model=none", 404, "none"),
        ("top_k=0", 422, "top_k"),
        ("top_k=", 422, "top_k"),
        ("topk=3", 422, "topk"),
        ("MODEL=colours", 422, "MODEL"),
        ("file=x", 422, "file"),
        ("top_k=1&top_k=2", 422, "top_k"),
        ("top_k", 422, "top_k"),
        ("%ff=1", 422, "query parameter"),
    ],
)
def test_a_query_that_is_not_read_is_named(client: TestClient, red: bytes, query: str, status: int, named: str) -> None:
    for path in ("/api/v1/predict", "/api/v1/predict/batch"):
        answer = client.post(f"{path}?{query}", files={"file": red})
        assert answer.status_code == status
        assert named in answer.json()["detail"]


def test_a_query_that_contradicts_the_body_or_is_not_of_the_route_is_named(client: TestClient, red: bytes) -> None:
    assert client.post("/api/v1/predict?top_k=1", files={"file": red}, data={"top_k": "2"}).status_code == 422
    coded = base64.b64encode(red).decode()
    body = {"inputs": coded, "parameters": {"top_k": 1}}
    assert client.post("/models/colours?top_k=2", json=body).status_code == 422
    assert client.post("/api/v1/explain?top_k=1", files={"file": red}).status_code == 422
    assert client.post("/models/colours?model=colours", content=red).status_code == 422
    tensor = {"datatype": "BYTES", "shape": [1], "data": [coded]}
    assert client.post("/v2/models/colours/infer?top_k=1", json={"inputs": [tensor]}).status_code == 422
    assert client.get("/?anything=1&model=colours").status_code == 200


@pytest.mark.parametrize(
    "kind",
    ["", "binary/octet-stream", "image/png", "image/jpeg", "IMAGE/*", "application/octet-stream", "image/x; a=b"],
)
def test_a_photo_may_come_as_it_is(client: TestClient, red: bytes, kind: str) -> None:
    answer = client.post("/api/v1/predict?top_k=1", content=red, headers={"content-type": kind})
    assert [one["label"] for one in answer.json()["predictions"]] == ["red"]
    assert len(client.post("/api/v1/explain", content=red, headers={"content-type": kind}).json()["grid"]) == 10


def test_a_photo_may_come_as_base64_in_json(client: TestClient, red: bytes) -> None:
    coded = base64.b64encode(red).decode()
    for body in (
        {"file": coded, "top_k": 1, "model": "colours"},
        {"file": f"data:image/png;base64,{coded}", "top_k": "1"},
    ):
        answer = client.post("/api/v1/predict", json=body)
        assert [one["label"] for one in answer.json()["predictions"]] == ["red"]
    batch = client.post("/api/v1/predict/batch", json={"files": [coded, "AAAA"], "model": None}).json()["results"]
    assert "answer" in batch[0]
    assert "problem" in batch[1]
    assert client.app.state.service.uploads.held == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"file": "***"}, 422),
        ({"file": 5}, 422),
        ({"file": None}, 422),
        ({"files": ["AAAA", "AAAA"]}, 422),
        ({}, 422),
        ([], 422),
        ({"photo": "AAAA"}, 422),
        ({"file": "AAAA", "top_k": 0}, 422),
        ({"file": "AAAA", "top_k": True}, 422),
        ({"file": "AAAA", "top_k": 1.5}, 422),
        ({"file": "AAAA", "model": ["colours"]}, 422),
        ({"file": "AAAA", "model": "x" * 5000}, 422),
        ({"file": "AAAA", "model": "none"}, 404),
        ({"file": "AAAA"}, 415),
        ({"file": ""}, 400),
    ],
)
def test_wrong_json_is_named(client: TestClient, body: object, status: int) -> None:
    answer = client.post("/api/v1/predict", json=body)
    assert answer.status_code == status, answer.text
    problem(answer)


def test_inputs_that_nobody_filled_are_no_photos(client: TestClient, red: bytes) -> None:
    unfilled = ("", b"", "application/octet-stream")
    for name in ("file", "file2", "files"):
        answer = client.post("/api/v1/predict", files=[("file", ("a.png", red)), (name, unfilled)])
        assert answer.json()["predictions"][0]["label"] == "red"
    batch = client.post("/api/v1/predict/batch", files=[("files", unfilled), ("files", ("a.png", red))])
    assert len(batch.json()["results"]) == 1
    nothing = client.post("/api/v1/predict", files={"file": unfilled})
    assert (nothing.status_code, problem(nothing)) == (422, "bad-parameter")


def test_batches_have_a_limit_in_bytes_of_their_own(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(max_upload_mb=0.01, max_batch_upload_mb=0.05)
    padded = red + bytes(8_000)
    assert client.post("/api/v1/predict", files={"file": red + bytes(12_000)}).status_code == 413
    assert client.post("/api/v1/predict/batch", files=[("files", padded)] * 4).status_code == 200
    answer = client.post("/api/v1/predict/batch", files=[("files", padded)] * 8)
    assert (answer.status_code, problem(answer)) == (413, "too-large")
    assert "0.05 MB" in answer.json()["detail"]


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "deflate", "raw deflate", "identity", ""])
def test_compressed_bodies_are_read(client: TestClient, red: bytes, encoding: str) -> None:
    def packed(body: bytes) -> bytes:
        if "deflate" in encoding:
            return zlib.compress(body) if encoding == "deflate" else zlib.compress(body)[2:-4]
        return gzip.compress(body) if "gzip" in encoding.lower() else body

    head = {"content-encoding": encoding.rpartition(" ")[2]}
    coded = base64.b64encode(red).decode()
    form = httpx.Request("POST", "http://x", files={"file": red}, data={"top_k": "1"})
    for kind, body in (
        ("image/png", red),
        ("application/json", json.dumps({"file": coded}).encode()),
        (form.headers["content-type"], form.read()),
    ):
        answer = client.post("/api/v1/predict", content=packed(body), headers={**head, "content-type": kind})
        assert answer.json()["predictions"][0]["label"] == "red"
    assert client.post("/models/colours", content=packed(red), headers=head).json()[0]["label"] == "red"
    tensor = {"datatype": "BYTES", "shape": [1], "data": [coded]}
    body = packed(json.dumps({"inputs": [tensor]}).encode())
    assert client.post("/v2/models/colours/infer", content=body, headers=head).status_code == 200


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "utf-8", "compress"])
def test_other_compressions_are_named(client: TestClient, red: bytes, encoding: str) -> None:
    head = {"content-encoding": encoding, "content-type": "image/png"}
    answer = client.post("/api/v1/predict", content=red, headers=head)
    assert (answer.status_code, problem(answer)) == (415, "unsupported-media-type")
    assert encoding in answer.json()["detail"]


def test_a_photo_is_told_by_its_content(client: TestClient, red: bytes) -> None:
    for name, kind in (("a.exe", "application/x-msdownload"), ("a.svg", "image/svg+xml"), ("../a", "text/html")):
        answer = client.post("/api/v1/predict", files={"file": (name, red, kind)})
        assert answer.json()["predictions"][0]["label"] == "red"
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>'
    for content in (svg, b"%PDF-1.7\n", b"MZ" + bytes(100), b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        refused = client.post("/api/v1/predict", files={"file": ("photo.jpg", content, "image/jpeg")})
        assert problem(refused) == "unsupported-photo"


def test_nothing_of_an_upload_is_written_to_disk(client: TestClient) -> None:
    photo = BytesIO()
    Image.effect_noise((1500, 1500), 100).save(photo, "PNG")  # more than a library keeps in memory unasked
    content = photo.getvalue()
    text = base64.b64encode(content).decode()
    assert len(content) > 1_500_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        answers = [
            client.post("/api/v1/predict", files={"file": content}),
            client.post("/api/v1/predict", content=content, headers={"content-type": "image/png"}),
            client.post("/api/v1/predict", content=gzip.compress(content), headers={"content-encoding": "gzip"}),
            client.post("/api/v1/predict", json={"file": text}),
            client.post("/models/colours", json={"inputs": text}),
            client.post("/preview", files={"file": content}),
            client.post("/", files={"file": content}),
        ]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [answer.status_code for answer in answers] == [200] * len(answers)
