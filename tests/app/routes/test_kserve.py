import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException


def infer(client: TestClient, tensor: object) -> object:
    return client.post("/v2/models/colours/infer", json={"id": "7", "inputs": [tensor]})


def test_a_server_and_a_model_say_what_they_are(client: TestClient) -> None:
    assert client.get("/v2").json()["name"] == "foodscene"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/colours/ready").json()["ready"] is True
    model = client.get("/v2/models/colours").json()
    assert {tensor["name"] for tensor in model["inputs"]} == {"photo", "pixels"}
    assert model["outputs"][0]["shape"] == [-1, 3]
    assert client.get("/v2/models/none").status_code == 404


def test_photos_as_base64(client: TestClient, red: bytes) -> None:
    text = base64.b64encode(red).decode()
    answer = infer(client, {"name": "photo", "datatype": "BYTES", "shape": [2], "data": [text, text]}).json()
    assert answer["id"] == "7"
    (output,) = answer["outputs"]
    assert output["shape"] == [2, 3]
    assert np.argmax(output["data"][:3]) == 0


def test_pixels_as_numbers(client: TestClient) -> None:
    pixels = np.zeros((1, 16, 16, 3), int)
    pixels[..., 2] = 255
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.ravel().tolist()}
    assert np.argmax(infer(client, tensor).json()["outputs"][0]["data"]) == 2


@pytest.mark.parametrize("kind", ["BYTES", "UINT8"])
def test_the_binary_extension(client: TestClient, red: bytes, kind: str) -> None:
    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    pixels[..., 0] = 255
    data = len(red).to_bytes(4, "little") + red if kind == "BYTES" else pixels.tobytes()
    shape = [1] if kind == "BYTES" else list(pixels.shape)
    tensor = {"name": "x", "datatype": kind, "shape": shape, "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    answer = client.post(
        "/v2/models/colours/infer", content=head + data, headers={"inference-header-content-length": str(len(head))}
    )
    assert np.argmax(answer.json()["outputs"][0]["data"]) == 0


def test_the_version_that_the_metadata_names_is_there_and_no_other(client: TestClient, red: bytes) -> None:
    (version,) = client.get("/v2/models/colours").json()["versions"]
    path = f"/v2/models/colours/versions/{version}"
    assert client.get(path).json() == client.get("/v2/models/colours").json()
    assert client.get(f"{path}/ready").json() == {"name": "colours", "ready": True}
    body = {"inputs": [{"name": "photo", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(red).decode()]}]}
    answer = client.post(f"{path}/infer", json=body)
    assert answer.json() == client.post("/v2/models/colours/infer", json=body).json()
    for wrong in ("/v2/models/colours/versions/2", "/v2/models/colours/versions/2/ready", "/v2/models/none/versions/1"):
        assert client.get(wrong).status_code == 404
    assert client.post("/v2/models/colours/versions/2/infer", json=body).status_code == 404


def test_a_wrong_shape_is_told_in_words(client: TestClient) -> None:
    answer = infer(client, {"datatype": "FP32", "shape": [1, 16, 16, 3], "data": []}).json()
    assert "UINT8 of shape [n, 16, 16, 3]" in answer["detail"]
    assert answer["error"] == answer["detail"]


@pytest.mark.parametrize(
    "tensor",
    [
        None,
        {},
        {"datatype": "BYTES", "shape": [1], "data": []},
        {"datatype": "BYTES", "shape": [1], "data": [5]},
        {"datatype": "BYTES", "shape": [0], "data": []},
        {"datatype": "BYTES", "shape": [10**9], "data": []},
        {"datatype": "BYTES", "shape": [1, 100], "data": ["AAAA"] * 100},
        {"datatype": "BYTES", "shape": [10, 10], "data": ["AAAA"] * 100},
        {"datatype": "BYTES", "shape": [], "data": []},
        {"datatype": "BYTES", "shape": [1] * 100_000, "data": ["AAAA"]},
        {"datatype": "BYTES", "shape": [999_999] * 100_000, "data": ["AAAA"]},
        {"datatype": "BYTES", "shape": [1]},
        {"datatype": "UINT8", "shape": [1, 16, 16, 3], "data": [1, 2]},
        {"datatype": "UINT8", "shape": [1, 16, 16, 3], "data": [300] * 768},
        {"datatype": "UINT8", "shape": [1, 16, 16, 3], "data": ["a"] * 768},
        {"datatype": "UINT8", "shape": [1, 8, 8, 3], "data": [0] * 192},
        {"datatype": "FP64", "shape": [1], "data": [0]},
        {"datatype": "BYTES", "shape": "1", "data": []},
    ],
)
def test_wrong_tensors_are_named(client: TestClient, tensor: object) -> None:
    answer = infer(client, tensor)
    assert answer.status_code == 422
    assert "inputs" in answer.json()["detail"]


def test_a_wrong_header_length_is_named(client: TestClient) -> None:
    for length in ("x", "-1", "99999", "1" * 5000):
        answer = client.post(
            "/v2/models/colours/infer", content=b"{}", headers={"inference-header-content-length": length}
        )
        assert answer.status_code == 400


@pytest.mark.slow
def test_the_client_of_triton_works_as_it_is(serve: Callable[..., Any], red: bytes) -> None:
    client = InferenceServerClient(serve().url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("colours")
    assert client.get_model_metadata("colours")["outputs"][0]["name"] == "probabilities"
    photos = InferInput("photo", [2], "BYTES")
    photos.set_data_from_numpy(np.array([red, red], dtype=object))
    pixels = InferInput("pixels", [1, 16, 16, 3], "UINT8")
    pixels.set_data_from_numpy(np.full((1, 16, 16, 3), (0, 0, 255), np.uint8))
    for tensor, label in ((photos, 0), (pixels, 2)):
        for outputs in (None, [InferRequestedOutput("probabilities", binary_data=False)]):
            probabilities = client.infer("colours", [tensor], outputs=outputs).as_numpy("probabilities")
            assert (probabilities.argmax(axis=1) == label).all()
    assert client.is_model_ready("colours", "1")
    for version, compression in (("1", None), ("", "gzip"), ("", "deflate")):
        answer = client.infer("colours", [photos], model_version=version, request_compression_algorithm=compression)
        assert (answer.as_numpy("probabilities").argmax(axis=1) == 0).all()
    no_photo = InferInput("photo", [1], "BYTES")
    no_photo.set_data_from_numpy(np.array([b"no photo"], dtype=object))
    with pytest.raises(InferenceServerException, match="not an image that is read here"):
        client.infer("colours", [no_photo])
    client.close()


def test_large_pixels_and_photos_in_json_are_read(client: TestClient, red: bytes) -> None:
    pixels = np.zeros((32, 16, 16, 3), np.uint8)
    pixels[..., 2] = 255
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": [32, 16, 16, 3]}
    for data in (pixels.ravel().tolist(), pixels.tolist()):
        answer = infer(client, {**tensor, "data": data}).json()["outputs"][0]["data"]
        assert np.argmax(answer[-3:]) == 2
    photo = base64.b64encode(red + bytes(100_000)).decode()
    answer = infer(client, {"name": "photo", "datatype": "BYTES", "shape": [3], "data": [photo] * 3}).json()
    assert np.argmax(answer["outputs"][0]["data"][6:]) == 0
    assert infer(client, {**tensor, "data": [256] * pixels.size}).status_code == 422
    assert client.app.state.service.uploads.held == 0


def test_json_counts_for_what_it_takes_beside_its_text(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(max_memory_mb=0.3)
    photo = base64.b64encode(red + bytes(120_000)).decode()
    assert infer(client, {"datatype": "BYTES", "shape": [1], "data": [photo]}).status_code == 503
    assert client.post("/models/colours", json={"inputs": photo}).status_code == 503
    assert client.post("/models/colours", content=red + bytes(160_000)).status_code == 200
