"""uvicorn's HTTP protocol with the limits that it lacks: on time, on everything beside bodies, and on what is begun.

Every connection has a time by which what it waits for must be there; else it is cut off. An answer before the end of
its request is the connection's last one. No other protocol than HTTP/1.1 is spoken, and offers of one are ignored.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS = 15.0
"""For a request line and headers, from the connection's beginning or, after an answer, from their first byte."""
HEAD_BYTES = 64 * 1024
"""Of everything beside bodies: heads, trailers, what surrounds chunks, blank lines."""
HEAD_FIELDS = 200
LINGER_SECONDS = 5.0
"""How long the rest of a request is read, and forgotten, after its answer: who still sends may not read before."""
PIECES, PIECE_BYTES = 10_000, 64
"""Chunks that a body may have at least, and beyond them the bytes that they must have on average: each costs alike."""
PIPELINED = 64
"""Requests that may wait for the answers to those before them."""

_LOOK_SECONDS = 0.5
"""How often a connection's time is looked at."""


class Cycle(RequestResponseCycle):
    """A request and its answer. `early` says that the answer began before the request had ended."""

    early = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start" and self.more_body:
            self.early = True
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await super().send(message)
            self.keep_alive = True  # or uvicorn closes at once, and what is still being sent resets the connection
            return
        await super().send(message)


class Protocol(HttpToolsProtocol):
    """Cuts off connections that take longer, or send more, than any honest client does.

    Between requests, uvicorn closes one that is idle for its `timeout_keep_alive`. The application's state says in
    `deadline_seconds` how long a body, and then an answer, may take.
    """

    _timer: asyncio.TimerHandle | None = None
    _due = 0.0
    _beside = 0  # bytes since the last one of a body, or since the last message
    _pieces = _body_bytes = 0
    _lingers = _idle = False
    _answering: RequestResponseCycle | None = None  # `cycle` is the newest request, which may wait for this one

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_within(HEAD_SECONDS)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._answering and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._idle:
            self._idle = False
            self._expect_within(HEAD_SECONDS)
        self._beside += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            answering = self._answering
            if self._lingers or (answering and (answering.response_started or answering is not self.cycle)):
                self.transport.abort()  # it would stand in another answer
            else:
                self.send_400_response("This is no request of HTTP/1.1, or its head is larger than 64 KB.")
        else:
            if self._beside > HEAD_BYTES:
                self.transport.abort()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # The parser stops behind the head, where another protocol would begin: another one reads the head again,
            # as if there had been no offer. No connection becomes a tunnel. The first may be at its end, where the
            # connection is to be closed behind the request.
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError from None
            version = self.parser.get_http_version().encode()
            lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
            lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self._feed(b"\r\n".join([*lines, b"", b""]) + data[upgrade.args[0] :])

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.scope is not None and "method" in self.scope:
            return  # a trailer, which nobody asks for
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # its head comes again
        if len(self.headers) > HEAD_FIELDS or (self._beside > HEAD_BYTES and self._head_bytes() > HEAD_BYTES):
            raise httptools.HttpParserError
        super().on_headers_complete()
        self._pieces = self._body_bytes = 0
        self.cycle.__class__ = Cycle  # uvicorn makes it itself
        if not self.pipeline:
            self._answering = self.cycle
        self._expect_within(HEAD_SECONDS + self._deadline)
        if len(self.pipeline) > PIPELINED:
            raise httptools.HttpParserError  # ends the reading of what has come already

    def on_body(self, body: bytes) -> None:
        self._beside = 0
        self._pieces += 1
        self._body_bytes += len(body)
        if self._pieces > PIECES + self._body_bytes // PIECE_BYTES:
            raise httptools.HttpParserError
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._beside = 0
        super().on_message_complete()
        if not self.cycle.response_complete:
            self._expect_within(HEAD_SECONDS + self._deadline)
        elif not self.transport.is_closing():
            self.cycle.more_body = False
            self._close_early()

    def on_response_complete(self) -> None:
        self._answering = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_within(LINGER_SECONDS)  # for what has not been taken from it
        elif not self.cycle.response_complete:
            self._expect_within(HEAD_SECONDS + self._deadline)
        elif getattr(self.cycle, "early", False):
            self._close_early()
        elif self._beside:
            self._expect_within(HEAD_SECONDS)
        else:
            self._idle = True
            self._expect_within(self.timeout_keep_alive + LINGER_SECONDS)

    def _close_early(self) -> None:
        """Close behind an early answer: at once if the whole request is there, else a little later."""
        self._expect_within(LINGER_SECONDS)
        if not self.cycle.more_body:
            self.transport.close()
        elif not self._lingers:
            self._lingers = True
            if self.transport.can_write_eof():
                self.transport.write_eof()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    @property
    def _deadline(self) -> float:
        return float(self.app_state.get("deadline_seconds", 30))

    def _expect_within(self, seconds: float) -> None:
        self._due = self.loop.time() + seconds

    def _look(self) -> None:
        if self.loop.time() >= self._due:
            self._timer = None
            self.transport.abort()
            return
        self._timer = self.loop.call_later(_LOOK_SECONDS, self._look)
