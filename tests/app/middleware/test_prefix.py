"""A service behind a proxy that shows it under a prefix, and takes that off the path or not."""

import hashlib
import re
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

Start = Callable[..., TestClient]
_LINKS = re.compile(r'(?:href|src|action)="([^"#]+)"')


@pytest.fixture
def client(start: Start) -> TestClient:
    return start(root_path="/food")


@pytest.mark.parametrize("prefix", ["/food", ""], ids=["left on", "taken off"])
def test_everything_is_there(client: TestClient, red: bytes, prefix: str) -> None:
    for path in ("/", "/models", "/models/colours", "/docs", "/readyz", "/static/js/page.js", "/api/v1/models"):
        assert client.get(prefix + path).status_code == 200, path
    answer = client.post(f"{prefix}/api/v1/predict?top_k=1", files={"file": red})
    assert answer.json()["predictions"][0]["label"] == "red"
    assert client.post(f"{prefix}/models/colours", content=red).json()[0]["label"] == "red"
    assert client.get(f"{prefix}/foodstuff").status_code == 404


@pytest.mark.parametrize("prefix", ["/food", ""], ids=["left on", "taken off"])
@pytest.mark.parametrize("path", ["/", "/models", "/models/colours", "/models/none", "/docs"])
def test_pages_lead_to_where_the_browser_finds_them(client: TestClient, prefix: str, path: str) -> None:
    page = client.get(prefix + path).text
    links = {link for link in _LINKS.findall(page) if not link.startswith(("data:", "http"))}
    assert links
    for link in links:
        assert link.startswith("/food/")
        assert client.get(link).status_code == 200, link


@pytest.mark.parametrize("prefix", ["/food", ""], ids=["left on", "taken off"])
def test_redirects_and_descriptions_name_the_prefix(client: TestClient, prefix: str) -> None:
    moved = client.get(f"{prefix}/v2/", follow_redirects=False)
    assert moved.headers["location"] == "http://testserver/food/v2"
    assert "http://testserver/food/api/v1/predict" in client.get(f"{prefix}/docs").text
    assert client.get(f"{prefix}/openapi.json").json()["servers"] == [{"url": "/food"}]


def test_the_prefix_alone_leads_to_the_page(client: TestClient) -> None:
    assert client.get("/food").status_code == 200
    assert client.get("/food", follow_redirects=False).headers["location"] == "http://testserver/food/"


@pytest.mark.parametrize("prefix", ["/food", ""], ids=["left on", "taken off"])
def test_keys_are_asked_for_and_metrics_count_routes(start: Start, prefix: str, red: bytes) -> None:
    client = start(root_path="/food", api_keys=hashlib.sha256(b"key").hexdigest())
    for path in ("/api/v1/models", "/models", "/v2/models/colours", "/metrics"):
        assert client.get(prefix + path).status_code == 401, path
    assert client.post(f"{prefix}/api/v1/predict", files={"file": red}).status_code == 401
    assert client.get(f"{prefix}/readyz").status_code == 200
    client.get(f"{prefix}/static/js/page.js")
    metrics = client.get(f"{prefix}/metrics", headers={"x-api-key": "key"}).text
    assert 'route="/readyz"' in metrics
    assert 'route="static"' in metrics
    assert 'route="/food' not in metrics
