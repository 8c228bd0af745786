"""What surrounds every request: its id, its line in the log, the security headers, and the answer to a failure."""

import asyncio
import logging
import random
import re
import time
from functools import cache

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foodscene.app.metrics import REQUEST_SECONDS, REQUESTS
from foodscene.app.problems import Problem
from foodscene.app.service import Service
from foodscene.app.uploads import ClientGone

logger = logging.getLogger("foodscene.app.access")

_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

_SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", _CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"geolocation=(), microphone=(), camera=(self)"),
)
"""What browsers are told to refuse, with every answer."""

_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """ASGI middleware around all that answers, so that no answer leaves without it."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service, self.prefix = app, service, service.settings.root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if _GIVEN_ID.fullmatch(given) else b"%016x" % random.getrandbits(64)
        status, path = 0, scope["path"].removeprefix(self.prefix)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                headers.extend(_SECURITY_HEADERS)
                headers.append((b"x-request-id", request_id))
                if self.service.draining:
                    headers.append((b"connection", b"close"))
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientGone:
            status = status or 499  # what nginx writes where there is nobody left to answer
        except asyncio.CancelledError:
            if status or not self.service.draining:
                raise
            problem = Problem("not-ready", "The service is stopping.", retry_after=1)
            await problem.response()(scope, receive, send_with_headers)
        except Exception:
            logger.exception("A request failed.", extra={"request": request_id.decode()})
            if not status:
                problem = Problem("internal-error", f"It has been logged as {request_id.decode()}.")
                await problem.response()(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            requests, request_seconds = _measured(_route(scope, path), status)
            requests.inc()
            request_seconds.observe(seconds)
            logger.info(
                "answered",
                extra={
                    "request": request_id.decode(),
                    "method": scope["method"],
                    "path": path,
                    "status": status,
                    "milliseconds": round(seconds * 1000, 2),
                    **self._client(scope),
                },
            )

    def _client(self, scope: Scope) -> dict[str, str]:
        """The client's address, where it is to be logged: a forwarded one from trusted proxies alone, see `server`."""
        client = scope.get("client") if self.service.settings.log_clients else None
        return {"client": client[0]} if client else {}


@cache
def _measured(route: str, status: int) -> tuple[Counter, Histogram]:
    """The metrics of a route, found once: to find them takes longer than to count."""
    return REQUESTS.labels(route, status), REQUEST_SECONDS.labels(route)


def _route(scope: Scope, path: str) -> str:
    """The route's pattern, not the path, of which clients could make up any number."""
    pattern = getattr(scope.get("route"), "path", None)
    return str(pattern) if pattern else "static" if path.startswith("/static/") else "none"
