import asyncio
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from foodscene.app.middleware import limits
from foodscene.app.middleware.limits import Rates, ServiceLimits
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

        admitting = ServiceLimits(slow, Settings(max_requests=1))
        scope = {"type": "http", "method": "POST", "path": "/api/v1/predict", "headers": []}
        first = asyncio.create_task(admitting(scope, receive, send))
        await asyncio.sleep(0)
        await admitting(scope, receive, send)
        answered.set()
        await first
        await admitting(scope, receive, send)

    asyncio.run(both())
    assert statuses == [503, 200, 200]


def test_pages_are_shown_while_requests_are_refused(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(max_requests=1)
    admitting = client.app.middleware_stack
    while not isinstance(admitting, ServiceLimits):
        admitting = admitting.app  # type: ignore[union-attr]
    admitting.under_way = 1
    assert client.post("/api/v1/predict", files={"file": red}).status_code == 503
    assert [client.get(path).status_code for path in ("/", "/healthz", "/docs")] == [200] * 3


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
    paths = {"/api/v1/models": 401, "/metrics": 401, "/v2/models/colours": 401, "/readyz": 200, "/": 200, "/docs": 200}
    for path, status in paths.items():
        assert client.get(path).status_code == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["/models", "/models/colours", "/models/none", "/api/v1/models/colours", "/v2/models/x"]
)
def test_strangers_see_no_card_and_no_reason_of_a_refusal(
    start: Callable[..., TestClient], method: str, path: str
) -> None:
    client = start(api_keys=hashlib.sha256(b"open sesame").hexdigest())
    answer = client.request(method, path)
    assert answer.status_code == 401
    assert "colours" not in answer.text
    assert client.request(method, path, headers={"x-api-key": "open sesame"}).status_code in (200, 404)


def test_a_browser_asks_for_the_key_of_the_models_pages(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(api_keys=hashlib.sha256(b"open sesame").hexdigest())
    assert client.get("/models").headers["www-authenticate"].startswith("Basic realm=")
    assert client.get("/models", auth=("anyone", "open sesame")).status_code == 200
    assert client.get("/models", auth=("open sesame", "")).status_code == 401
    assert client.get("/models", headers={"authorization": "Basic ***"}).status_code == 401
    # A browser sends passwords unasked, for pages of other origins too.
    assert client.post("/models/colours", content=red, auth=("anyone", "open sesame")).status_code == 401
    assert client.get("/api/v1/models", auth=("anyone", "open sesame")).status_code == 401


def test_strangers_see_no_figures_on_the_first_page(start: Callable[..., TestClient]) -> None:
    assert "3 labels" in start().get("/").text
    assert "3 labels" not in start(api_keys=hashlib.sha256(b"open sesame").hexdigest()).get("/").text


def test_wrong_keys_are_slowed_and_valid_ones_are_not(
    start: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_PAUSE", 0.3)
    client = start(api_keys=hashlib.sha256(b"open sesame").hexdigest())

    def guess(key: str) -> tuple[int, float]:
        started = time.monotonic()
        status = client.get("/api/v1/models", headers={"x-api-key": key}).status_code
        return status, time.monotonic() - started

    assert [guess(f"guess {number}")[0] for number in range(10)] == [401] * 10
    status, seconds = guess("one more")
    assert status == 429
    assert seconds >= 0.3
    assert guess("open sesame")[0] == 200
    assert client.get("/api/v1/models").status_code == 401  # no key is no guess
    with ThreadPoolExecutor(30) as pool:
        statuses = Counter(status for status, _ in pool.map(guess, [f"more {number}" for number in range(60)]))
    assert statuses[429] >= 55
    assert guess("open sesame")[0] == 200


def test_pages_count_for_a_client_s_rate_and_health_does_not(start: Callable[..., TestClient]) -> None:
    client = start(rate_limit=0.001, rate_burst=4)
    paths = ["/", "/models", "/models/colours", "/docs", "/", "/models", "/openapi.json", "/nothing"]
    assert [client.get(path).status_code for path in paths] == [200] * 4 + [429] * 4
    for path in ("/healthz", "/readyz", "/v2/health/ready", "/static/css/page.css"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("a:b", "a:b"),
        ("", ""),
    ],
)
def test_addresses_of_one_network_are_one_client(address: str, client: str) -> None:
    assert limits.network(address) == client


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
    client = start(cors_origins="https://one.example, https://two.example/", api_keys="")
    allowed = client.post("/models/colours", content=red, headers={"origin": "https://two.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://two.example"
    other = client.post("/models/colours", content=red, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_key_is_compared_with_every_hash_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    compare = hmac.compare_digest

    def noted(one: str, other: str) -> bool:
        compared.append(other)
        return compare(one, other)

    monkeypatch.setattr(limits.hmac, "compare_digest", noted)
    digest = hashlib.sha256(b"open sesame").hexdigest()
    hashes = (digest, "0" * 64, "1" * 64)
    assert limits.known_key("open sesame", hashes) == digest
    assert tuple(compared) == hashes
