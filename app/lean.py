"""A route that reads its request itself: documented like any other, without FastAPI's handling of each parameter."""

from collections.abc import Awaitable, Callable

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response


class LeanRoute(APIRoute):
    """For routes of the form `async def route(request) -> Response`, where a tenth of a millisecond counts."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        return self.endpoint
