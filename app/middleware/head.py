"""HEAD wherever GET is answered: load balancers and link checkers ask so."""

from starlette.types import ASGIApp, Receive, Scope, Send


class Head:
    """ASGI middleware that answers HEAD as GET; the server, which knows better, leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        try:
            await self.app(as_get, receive, send)
        finally:
            scope["route"] = as_get.get("route")  # for the metrics
