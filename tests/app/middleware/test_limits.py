import asyncio
import hashlib
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from foodscene.app.middleware.limits import Limits, Rates
from foodscene.app.problems import Problem
from foodscene.app.settings import Settings


def test_an_upload_above_the_limit_is_refused_announced_or_not(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(max_upload_mb=0.01)
    announced = client.post("/api/v1/predict", files={"file": b"x" * 20_000})
    streamed = client.post("/models/colours", content=(b"x" * 1000 for _ in range(20)))
    assert announced.status_code == streamed.status_code == 413
    assert client.post("/api/v1/predict", files={"file": red}).status_code == 200
    assert client.app.state.service.uploads.held == 0


def test_uploads_together_have_a_limit(start: Callable[..., TestClient]) -> None:
    client = start(max_memory_mb=0.01)
    answer = client.post("/models/colours", content=b"x" * 20_000)
    assert answer.status_code == 503
    assert client.app.state.service.uploads.held == 0


def test_too_many_requests_under_way_are_refused() -> None:
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.request"}

    async def both() -> None:
        answered = asyncio.Event()

        async def slow(_: Scope, __: Receive, send: Send) -> None:
            await answered.wait()
            await send({"type": "http.response.start", "status": 200})

        limits = Limits(slow, Settings(max_requests=1))
        scope = {"type": "http", "method": "POST", "path": "/api/v1/predict", "headers": []}
        first = asyncio.create_task(limits(scope, receive, send))
        await asyncio.sleep(0)
        await limits(scope, receive, send)
        answered.set()
        await first
        await limits(scope, receive, send)

    asyncio.run(both())
    assert statuses == [503, 200, 200]


def test_a_key_is_asked_for_where_keys_are_set(start: Callable[..., TestClient], red: bytes) -> None:
    digest = hashlib.sha256(b"open sesame").hexdigest()
    client = start(api_keys=f"{'0' * 64}, {digest.upper()}")
    refused = client.post("/api/v1/predict", files={"file": red})
    assert refused.status_code == 401
    assert refused.json()["type"].endswith("key-required")
    assert refused.headers["www-authenticate"] == "Bearer"
    for headers in ({"authorization": "Bearer wrong"}, {"x-api-key": digest}, {"authorization": "Basic open sesame"}):
        assert client.post("/api/v1/predict", files={"file": red}, headers=headers).status_code == 401
    for headers in ({"authorization": "Bearer open sesame"}, {"x-api-key": "open sesame"}):
        assert client.post("/api/v1/predict", files={"file": red}, headers=headers).status_code == 200
    for path, status in {"/api/v1/models": 401, "/metrics": 401, "/v2/models/colours": 401, "/readyz": 200}.items():
        assert client.get(path).status_code == status


def test_a_client_beyond_its_rate_is_told_when_to_come_back(start: Callable[..., TestClient]) -> None:
    client = start(rate_limit=0.001, rate_burst=2)
    answers = [client.get("/api/v1/models") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 100
    assert client.get("/healthz").status_code == 200


def test_a_bucket_fills_again() -> None:
    rates = Rates(per_second=2, burst=1)
    rates.count("a", 0)
    rates.count("b", 0)
    with pytest.raises(Problem):
        rates.count("a", 0.4)
    rates.count("a", 0.6)


def test_other_origins_may_call_where_they_are_named(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(cors_origins="https://one.example, https://two.example", api_keys="")
    allowed = client.post("/models/colours", content=red, headers={"origin": "https://two.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://two.example"
    other = client.post("/models/colours", content=red, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
