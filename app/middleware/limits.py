"""Who may ask, and how often: API keys, a rate for each client, and how many requests are under way at once."""

import hashlib
import hmac
import time
from collections import OrderedDict

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from foodscene.app.problems import Problem
from foodscene.app.settings import Settings

_GUARDED = ("/api/", "/v2/models", "/metrics")
_MOST_CLIENTS = 10_000


class Limits:
    """ASGI middleware. What a browser needs to show the page, and what tells of health, is open to everyone."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.rates = Rates(settings.rate_limit, settings.rate_burst)
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _guarded(scope):
            await self.app(scope, receive, send)
            return
        try:
            self._admit(scope)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        self.under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1

    def _admit(self, scope: Scope) -> None:
        """Raise a `Problem` for a request that is not to be worked on."""
        if self.under_way >= self.settings.max_requests:
            raise Problem("overloaded", f"{self.under_way} requests are under way already.", retry_after=1)
        client, _ = scope.get("client") or ("", 0)
        if self.settings.api_keys:
            client = known_key(Request(scope), self.settings.api_keys)
        if self.settings.rate_limit:
            self.rates.count(client, time.monotonic())


def _guarded(scope: Scope) -> bool:
    return scope["method"] not in ("GET", "HEAD", "OPTIONS") or scope["path"].startswith(_GUARDED)


def known_key(request: Request, hashes: tuple[str, ...]) -> str:
    """The SHA-256 of the request's API key, from `Authorization: Bearer` or `X-API-Key`, if it is one of `hashes`.

    Every hash is compared, each in the same time, so that the time tells nothing of them. Raises a `Problem`.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    digest = hashlib.sha256(key.encode()).hexdigest()
    if not key or not any([hmac.compare_digest(digest, known) for known in hashes]):  # noqa: C419 - compares all
        raise Problem("key-required", "Send a valid API key: Authorization: Bearer KEY.")
    return digest


class Rates:
    """A token bucket for each client: `burst` requests at once, refilled at `per_second`. The idlest are forgotten."""

    def __init__(self, per_second: float, burst: int) -> None:
        self.per_second, self.burst = per_second, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def count(self, client: str, now: float) -> None:
        """Count one request at the time `now`, in seconds. Raises a `Problem` `too-many-requests`."""
        tokens, then = self._buckets.pop(client, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - then) * self.per_second)
        self._buckets[client] = (max(tokens - 1, 0) if tokens >= 1 else tokens, now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        if tokens < 1:
            wait = max(1, round((1 - tokens) / self.per_second))
            raise Problem("too-many-requests", f"More than {self.per_second:g} requests a second.", retry_after=wait)
