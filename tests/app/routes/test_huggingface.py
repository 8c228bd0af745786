import base64
from collections.abc import Callable
from typing import Any

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from starlette.testclient import TestClient


@pytest.mark.slow
def test_the_client_of_hugging_face_works_as_it_is(serve: Callable[..., Any], red: bytes) -> None:
    url = f"{serve().url}/models/colours"
    client = InferenceClient(model=url, token="none")
    first = client.image_classification(red)[0]
    assert first.label == "red"
    assert first.score > 0.9
    assert len(client.image_classification(red, top_k=2)) == 2
    with pytest.raises(HfHubHTTPError, match="not an image that is read here"):
        client.image_classification(b"no photo")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b'{"inputs": 5}', 422),
        (b'{"inputs": "***"}', 422),
        (b'{"inputs": "", "parameters": 5}', 422),
        (b'{"inputs": "", "parameters": {"top_k": true}}', 422),
        (b'{"inputs": ""}', 400),
        (b'{"inputs": "AAAA"}', 415),
    ],
)
def test_wrong_json_is_named(client: TestClient, content: bytes, status: int) -> None:
    answer = client.post("/models/colours", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_raw_bytes_and_base64_answer_the_same(client: TestClient, red: bytes) -> None:
    raw = client.post("/models/colours", content=red)
    coded = client.post("/models/colours", json={"inputs": base64.b64encode(red).decode()})
    assert raw.json() == coded.json()
    assert client.post("/models/none", content=red).status_code == 404
