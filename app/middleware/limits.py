"""Who may ask, and how often: API keys, a rate for each client, and how many requests are under way at once."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import time
from collections import Counter, OrderedDict

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from foodscene.app.problems import Problem
from foodscene.app.settings import Settings

_OPEN = ("/static/", "/healthz", "/readyz", "/v2/health/")
"""What tells of health, and what pages are dressed in: never refused."""
_CARDS = "/models"
"""The pages that show what a bundle's card says, and why one is refused. A browser asks for the key as a password."""
_GUARDED = ("/api/", "/v2/models", "/metrics", _CARDS)
_MOST_CLIENTS = 10_000

_WRONG_KEYS, _WRONG_KEYS_A_SECOND = 10, 1.0
"""Wrong keys of one address that are answered at once, and how fast they are forgotten."""
_PAUSE = 1.0
"""Seconds that the answer to a further one takes."""
_MOST_PAUSED = 20
"""Answers to one address that may take their time at once; beyond, no key from there is looked at."""


class ServiceLimits:
    """ASGI middleware. Health is open to everyone; of the pages, those that tell nothing of the models but their names.

    Every request counts for its client's rate, but for health and static files.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.rates = Rates(settings.rate_limit, settings.rate_burst)
        self.wrong_keys = Rates(_WRONG_KEYS_A_SECOND, _WRONG_KEYS)
        self.paused: Counter[str] = Counter()
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "").removeprefix(self.settings.root_path)
        if scope["type"] != "http" or path.startswith(_OPEN):
            await self.app(scope, receive, send)
            return
        try:
            await self._admit(scope, path)
        except Problem as problem:
            shown = _is_card(scope["method"], path)
            headers = {"www-authenticate": 'Basic realm="The API key as the password"'} if shown else None
            await problem.response(headers if problem.status == 401 else None)(scope, receive, send)
            return
        self.under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1

    async def _admit(self, scope: Scope, path: str) -> None:
        """Raise a `Problem` for a request that is not to be worked on."""
        guarded = is_guarded(scope["method"], path)
        if self.under_way >= self.settings.max_requests and guarded:  # the others take no time
            raise Problem("overloaded", f"{self.under_way} requests are under way already.", retry_after=1)
        address, _ = scope.get("client") or ("", 0)
        client = network(address)
        if self.settings.api_keys and guarded:
            key = given_key(Request(scope), as_password=_is_card(scope["method"], path))
            client = await self._known_key(key, client)
        if self.settings.rate_limit:
            self.rates.count(client, time.monotonic())

    async def _known_key(self, key: str, address: str) -> str:
        """As `known_key`, but that wrong keys are slowed. Valid ones never wait."""
        slowed = Problem("too-many-requests", "Too many wrong API keys came from this address.", retry_after=2)
        if self.paused[address] >= _MOST_PAUSED:
            raise slowed
        try:
            return known_key(key, self.settings.api_keys)
        except Problem:
            if not key:
                raise
            try:
                self.wrong_keys.count(address, time.monotonic())
            except Problem:
                pass
            else:
                raise
        self.paused[address] += 1
        try:
            await asyncio.sleep(_PAUSE)
        finally:
            self.paused[address] -= 1
            self.paused += Counter()  # forgets the addresses with none
        raise slowed


def is_guarded(method: str, path: str) -> bool:
    """Whether a request needs a key where keys are set, and a place where there is a limit."""
    return method not in ("GET", "HEAD", "OPTIONS") or path.startswith(_GUARDED)


def _is_card(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and path.startswith(_CARDS)


def network(address: str) -> str:
    """What counts as one client: an IPv4 address; of IPv6 the first 64 bits, as one client has all that begin so.

    A socket that takes both gives IPv4 addresses as IPv6.
    """
    if ":" not in address:
        return address
    try:
        long = ipaddress.IPv6Address(address.partition("%")[0])
        return str(long.ipv4_mapped or ipaddress.ip_network((long, 64), strict=False))
    except ValueError:
        return address


def given_key(request: Request, *, as_password: bool = False) -> str:
    """The request's API key, from `Authorization: Bearer` or `X-API-Key`, or "". A browser gives it as a password."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    if as_password and scheme.lower() == "basic":
        try:
            return base64.b64decode(token, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return request.headers.get("x-api-key", "")


def known_key(key: str, hashes: tuple[str, ...]) -> str:
    """The SHA-256 of an API key, if it is one of `hashes`. Raises a `Problem` `key-required`.

    Every hash is compared, each in the same time, so that the time tells nothing of them.
    """
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
