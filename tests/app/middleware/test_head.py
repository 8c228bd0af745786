import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/models",
        "/models/colours",
        "/static/css/page.css",
        "/api/v1/models",
        "/api/v1/models/colours",
        "/v2",
        "/v2/health/live",
        "/v2/models/colours",
        "/api/v1/models/none",
    ],
)
def test_head_is_answered_wherever_get_is(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.content == b""


def test_head_is_not_answered_where_get_is_not(client: TestClient) -> None:
    assert client.head("/api/v1/predict").status_code == 405


def test_the_metrics_know_the_route_of_a_head(client: TestClient) -> None:
    client.head("/api/v1/models")
    assert 'foodscene_requests_total{route="/api/v1/models",status="200"}' in client.get("/metrics").text
