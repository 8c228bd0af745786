import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient


def routes(client: TestClient) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, route in methods.items():
            yield method, path, route


def test_how_a_key_is_sent_is_described(start: Callable[..., TestClient], client: TestClient) -> None:
    schemes = client.get("/openapi.json").json()["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert schemes["header"]["name"] == "X-API-Key"
    with_keys = start(api_keys=hashlib.sha256(b"key").hexdigest())
    for method, path, route in routes(with_keys):
        answer = with_keys.request(method, path.replace("{name}", "colours").replace("{version}", "1"))
        assert (answer.status_code == 401) is ("security" in route), path
        if "security" in route:
            assert {} not in route["security"]
    assert all({} in route["security"] for _, _, route in routes(client) if "security" in route)
    assert "Authorization: Bearer KEY" in with_keys.get("/docs").text
    assert "Authorization: Bearer KEY" not in client.get("/docs").text


def _has_example(part: Any) -> bool:
    if isinstance(part, dict):
        return "example" in part or "examples" in part or any(_has_example(value) for value in part.values())
    return isinstance(part, list) and any(_has_example(value) for value in part)


def test_what_is_sent_and_answered_has_examples(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for method, path, route in routes(client):
        if method != "post":
            continue
        assert _has_example(route["requestBody"]["content"]["application/json"]), path
        (content,) = route["responses"]["200"]["content"].values()
        schema = content["schema"].get("items", content["schema"])
        assert _has_example(content) or _has_example(schemas[schema["$ref"].rpartition("/")[2]]), path


def test_the_kinds_of_bodies_that_are_read_are_described(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    kinds = {"multipart/form-data", "image/jpeg", "application/octet-stream", "application/json"}
    for path in ("/api/v1/predict", "/api/v1/predict/batch", "/api/v1/explain", "/api/v1/feedback"):
        assert set(paths[path]["post"]["requestBody"]["content"]) == kinds
    asked = {parameter["name"] for parameter in paths["/api/v1/predict"]["post"]["parameters"]}
    assert asked == {"model", "top_k"}


def test_what_becomes_of_photos_is_said(start: Callable[..., TestClient], client: TestClient, tmp_path: Path) -> None:
    assert client.get("/openapi.json").json()["info"]["description"].endswith("Photos are never stored.")
    keeping = start(feedback=tmp_path).get("/openapi.json").json()["info"]["description"]
    assert "not stored, but for those that are sent to /api/v1/feedback" in keeping
