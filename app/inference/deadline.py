"""How long an answer is waited for."""

import asyncio
from types import TracebackType

from starlette.requests import Request

from foodscene.app.problems import Problem
from foodscene.app.uploads import ClientGone

_LONG = 0.1
"""Seconds after which it is worth knowing whether a client still waits: asking costs as much as all the rest here."""


class Deadline:
    """`async with` it: gives up what is awaited inside after so many seconds, or when the client of `request` has gone.

    Raises then the `Problem` `deadline-exceeded`, or `ClientGone`. The request's body must have been read.
    """

    def __init__(self, request: Request | None, seconds: float) -> None:
        self._request, self._seconds = request, seconds
        self._task: asyncio.Task[object] | None = None
        self._client: asyncio.Future[None] | None = None
        self._reason: Exception | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(min(_LONG, self._seconds), self._takes_long)

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._client:
            self._client.cancel()
            self._client = None  # its traceback leads back here, and would keep the photos until garbage is collected
        task, self._task = self._task, None
        reason, self._reason = self._reason, None
        if reason and task and not task.uncancel() and kind is asyncio.CancelledError:
            try:
                raise reason from None
            finally:
                del reason  # as above

    def _takes_long(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self._seconds - _LONG), self._is_late)
        if self._request:
            self._client = asyncio.ensure_future(self._client_leaves(self._request))

    def _is_late(self) -> None:
        self._give_up(Problem("deadline-exceeded", f"No answer within {self._seconds:g} seconds."))

    async def _client_leaves(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._give_up(ClientGone())

    def _give_up(self, reason: Exception) -> None:
        if self._task and not self._reason:
            self._reason = reason
            self._task.cancel()
