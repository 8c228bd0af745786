"""The prefix under which a proxy shows the service. Some proxies take it off a path before they hand it on."""

from starlette.types import ASGIApp, Receive, Scope, Send


class Prefix:
    """ASGI middleware that says what the prefix is, as ASGI has it, and puts it before a path that lacks it."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app, self.prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["root_path"] = self.prefix
            if not f"{scope['path']}/".startswith(f"{self.prefix}/"):
                scope["path"] = self.prefix + scope["path"]
        await self.app(scope, receive, send)
