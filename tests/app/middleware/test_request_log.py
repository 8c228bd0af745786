import json
import logging
import re
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from foodscene.app.server.logs import JsonLines


def test_every_answer_has_an_id_and_the_security_headers(client: TestClient) -> None:
    for path in ("/healthz", "/docs", "/nothing", "/static/css/docs.css", "/"):
        headers = client.get(path).headers
        assert len(headers["x-request-id"]) == 16
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_request_id_is_taken_over_if_it_is_harmless(client: TestClient) -> None:
    assert client.get("/healthz", headers={"x-request-id": "trace-7"}).headers["x-request-id"] == "trace-7"
    for hostile in ("a b", "x" * 65, '{"a":1}'):
        assert client.get("/healthz", headers={"x-request-id": hostile}).headers["x-request-id"] != hostile


def test_every_request_leaves_a_line_without_the_photo(
    client: TestClient, red: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        answer = client.post("/api/v1/predict", files={"file": ("holiday.jpg", red)})
    (record,) = [record for record in caplog.records if record.name == "foodscene.app.access"]
    line = json.loads(JsonLines().format(record))
    assert line["request"] == answer.headers["x-request-id"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/api/v1/predict", 200)
    assert line["milliseconds"] > 0
    assert "holiday" not in caplog.text


@pytest.mark.parametrize("logged", [True, False])
def test_a_client_s_address_is_logged_where_it_may_be(
    start: Callable[..., TestClient], caplog: pytest.LogCaptureFixture, logged: bool
) -> None:
    service = start(log_clients=logged)
    with caplog.at_level(logging.INFO):
        service.get("/healthz", headers={"x-forwarded-for": "192.0.2.1"})
    lines = [json.loads(JsonLines().format(one)) for one in caplog.records if one.name == "foodscene.app.access"]
    assert lines[-1].get("client") == ("testclient" if logged else None), "what strangers forward is not believed"


def test_what_nobody_thought_of_is_a_problem_without_a_stack_trace(
    client: TestClient, red: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(client.app.state.service.registry, "get", fail)
    answer = client.post("/api/v1/predict", files={"file": red})
    assert answer.status_code == 500
    assert answer.json()["type"].endswith("internal-error")
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text


def test_unknown_paths_and_methods_are_problems(client: TestClient) -> None:
    assert client.get("/nothing").json()["type"].endswith("not-found")
    answer = client.delete("/api/v1/predict")
    assert answer.json()["type"].endswith("method-not-allowed")
    assert answer.headers["allow"] == "POST"


def test_what_is_measured_is_shown(client: TestClient, red: bytes) -> None:
    client.post("/api/v1/predict", files={"file": red})
    client.post("/api/v1/predict", files={"file": b"nothing"})
    text = client.get("/metrics").text
    assert 'foodscene_requests_total{route="/api/v1/predict",status="200"}' in text
    assert 'foodscene_problems_total{kind="unsupported-photo"}' in text
    for stage in ("queue", "decode", "wait", "engine"):
        assert f'foodscene_stage_seconds_count{{stage="{stage}"}}' in text
    assert "foodscene_queue_photos 0.0" in text


def test_the_docs_show_every_route(client: TestClient) -> None:
    page = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert path.replace("{", "&#123;") in page or path in page
    assert all('src="/static/' in script for script in re.findall("<script[^>]*>", page))
    assert "curl -F file=@photo.jpg" in page
