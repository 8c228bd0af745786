"""How long an answer is waited for."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request

from foodscene.app.inference.scheduler import Job
from foodscene.app.problems import Problem
from foodscene.app.uploads import ClientGone

_LONG = 0.1
"""Seconds after which it is worth knowing whether a client still waits: asking costs as much as all the rest here."""


class Deadline:
    """Gives jobs up, for a `reason`, after so many seconds, or when the client of `request` has gone away.

    The `reason` is the `Problem` `deadline-exceeded`, or `ClientGone`; None while, or if, the jobs are not given up.
    """

    reason: Exception | None = None

    def __init__(self, jobs: Sequence[Job], request: Request | None, seconds: float) -> None:
        self._jobs, self._request, self._seconds = jobs, request, seconds
        self._client: asyncio.Future[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(min(_LONG, seconds), self._takes_long)

    def end(self) -> None:
        """Give up what is not answered yet, and stop waiting."""
        for job in self._jobs:
            job.answer.cancel()  # nothing to an answer that is there
        self._timer.cancel()
        if self._client:
            self._client.cancel()
            self._client = None  # its traceback leads back here, and would keep the photos until garbage is collected

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
        self.reason = reason
        for job in self._jobs:
            job.answer.cancel()
