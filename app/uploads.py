"""Request bodies: read while they arrive, into memory only, held once, never beyond the limits."""

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from foodscene.app.problems import Problem

_MOST_FIELD_BYTES = 4096
_INFLATED_AT_ONCE = 1 << 18
"""Bytes of a compressed body that are inflated before others get their turn."""
# It warns of every malformed form; whoever sent one is told so in the answer, and must not fill the log.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


class ClientGone(Exception):
    """The client closed the connection: nobody waits for the answer."""


@dataclass(slots=True)
class Form:
    """A form's fields by name, the last one of each name, and the contents of its files named `file` or `files`."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[bytes] = field(default_factory=list)


class Uploads:
    """Receives bodies: at most `most_bytes` each, unless told otherwise, and at most `most_held` of all that are held.

    One that comes as gzip or deflate is inflated, and counts as large as it is then. A body that does not arrive within
    `seconds` is given up, and a form of more than `most_parts` refused.
    """

    def __init__(self, most_bytes: int, most_held: int, seconds: float, most_parts: int = 200) -> None:
        self.most_bytes, self.most_held, self.seconds, self.most_parts = most_bytes, most_held, seconds, most_parts
        self.held = 0

    @asynccontextmanager
    async def body(self, request: Request, copies: int = 1, most: int | None = None) -> AsyncIterator[bytes]:
        """The body of a request, counted as held until the block ends, so many times as it will be there.

        It may have `most` bytes. Raises `ClientGone` or a `Problem`: `too-large`, at once if its header says so,
        `upload-too-slow`, `overloaded`; `unsupported-media-type` or `bad-request` for a compression that is not read.
        """
        body = BytesIO()
        async with self._received(request, body.write, copies, most):
            yield body.getvalue()  # the buffer itself, no copy

    @asynccontextmanager
    async def form(self, request: Request, most: int | None = None) -> AsyncIterator[Form]:
        """The multipart form that a request carries, counted as held until the block ends.

        Raises as `body` does, or else, when all of it has arrived, as `FormReader` does: a client that sends to the end
        before it reads would miss an earlier answer.
        """
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get(b"boundary", b"")
        if kind == b"multipart/form-data" and boundary:
            reader = FormReader(boundary, self.most_parts)
            async with self._received(request, reader.write, most=most):
                yield reader.form()
            return
        async with self._received(request, lambda _: None) as size:
            if kind or size:
                raise Problem(
                    "unsupported-media-type",
                    "Send a form: multipart/form-data with a boundary, as curl -F does. Under /api/v1 a photo is read "
                    "as it is too, with a Content-Type like image/jpeg, and as base64 in JSON.",
                )
            yield Form()

    @asynccontextmanager
    async def _received(
        self, request: Request, take: Callable[[bytes], object], copies: int = 1, most: int | None = None
    ) -> AsyncIterator[int]:
        """Hand a body to `take` as it arrives; gives its bytes, which count as held until the block ends."""
        most = most or self.most_bytes
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > most:
            raise _too_large(most)
        encoding = request.headers.get("content-encoding")
        inflating = _inflating(encoding) if encoding else None
        size = arrived = 0
        try:
            try:
                async with asyncio.timeout(self.seconds):
                    more = True
                    while more:
                        message = await request.receive()
                        if message["type"] == "http.disconnect":
                            raise ClientGone
                        chunk, more = message.get("body", b""), message.get("more_body", False)
                        arrived += len(chunk)
                        if arrived > most + most // 100 + _MOST_FIELD_BYTES:  # compressed, of blocks without content
                            raise _too_large(most)
                        for piece in inflating.pieces(chunk, last=not more) if inflating else (chunk,):
                            if size + len(piece) > most:
                                raise _too_large(most)
                            if self.held + len(piece) * copies > self.most_held:
                                raise Problem("overloaded", "Too many uploads are under way. Try again.", retry_after=1)
                            size += len(piece)
                            self.held += len(piece) * copies
                            take(piece)
                            if inflating:
                                await asyncio.sleep(0)
            except TimeoutError:
                raise Problem("upload-too-slow", f"The body did not arrive within {self.seconds:g} seconds.") from None
            yield size
        finally:
            self.held -= size * copies


def _too_large(most: int) -> Problem:
    return Problem("too-large", f"The upload is larger than {most / 1e6:g} MB.")


def _inflating(encoding: str) -> "_Inflating | None":
    """What reads a body with this Content-Encoding; None for one that comes as it is. Raises a `Problem`."""
    named = [name for name in encoding.lower().replace(" ", "").split(",") if name not in ("", "identity")]
    if not named:
        return None
    if named in (["gzip"], ["x-gzip"]):
        return _Inflating(gzip=True)
    if named == ["deflate"]:
        return _Inflating(gzip=False)
    raise Problem(
        "unsupported-media-type",
        f"Content-Encoding: {encoding[:80]} is not read here. Send the body as it is, or as gzip or deflate.",
    )


class _Inflating:
    """Reads a compressed body in as many chunks as it comes in, and gives pieces of a bounded size."""

    def __init__(self, *, gzip: bool) -> None:
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS) if gzip else None

    def pieces(self, chunk: bytes, *, last: bool) -> Iterator[bytes]:
        """What a chunk holds. Raises a `Problem` where it is damaged, or the `last` one and not the end."""
        if self._inflater is None and chunk:
            # HTTP's deflate has zlib's header around it, which many clients leave out.
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS if chunk[0] & 0x8F == 8 else -zlib.MAX_WBITS)
        more = self._inflater is not None
        while more and self._inflater:
            try:
                piece = self._inflater.decompress(chunk, _INFLATED_AT_ONCE)
            except zlib.error:
                raise Problem("bad-request", "The compressed body is damaged.") from None
            if self._inflater.unused_data:
                raise Problem("bad-request", "There is something behind the end of the compressed body.")
            yield piece
            chunk = self._inflater.unconsumed_tail
            more = bool(chunk) or len(piece) == _INFLATED_AT_ONCE
        if last and not (self._inflater and self._inflater.eof):
            raise Problem("bad-request", "The compressed body is cut short.")


class FormReader:
    """Takes a multipart form apart, in as many chunks as it comes in. Nothing of it goes to disk."""

    def __init__(self, boundary: bytes, most_parts: int) -> None:
        self._parts = _Parts(boundary, most_parts)
        self._problem: Problem | None = None
        self._parser: MultipartParser | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._parts.begin,
                    "on_header_field": self._parts.header_field,
                    "on_header_value": self._parts.header_value,
                    "on_header_end": self._parts.header_end,
                    "on_headers_finished": self._parts.headers_finished,
                    "on_part_data": self._parts.data,
                    "on_part_end": self._parts.end,
                    "on_end": self._parts.finish,
                },
            )
        except FormParserError as error:
            self._problem = _unreadable(f"{error}")

    def write(self, chunk: bytes) -> None:
        """Read the next chunk of the form. What follows on a mistake is not read."""
        if self._parser is None:
            return
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            self._problem = _unreadable(f"{error}")
        except Problem as problem:
            self._problem = problem.with_traceback(None)  # which holds the chunk
        if self._problem:
            self._parser, self._parts = None, _Parts(b"", 0)

    def form(self) -> Form:
        """The form, all of which was written. Raises a `Problem`: `bad-request` for no form, `bad-parameter`."""
        if self._problem:
            raise self._problem
        if not self._parts.complete:
            raise _unreadable("it ends before its last boundary")
        return self._parts.form


class _Parts:
    """What the parser of a form finds, call by call."""

    def __init__(self, boundary: bytes, most: int) -> None:
        self.form, self.complete, self._most = Form(), False, most
        self._delimiter = b"\r\n--" + boundary
        self._begun = 0
        self._header, self._value, self._disposition = b"", b"", b""
        self._name, self._is_file, self._is_named = "", False, False
        self._content = BytesIO()

    def begin(self) -> None:
        self._begun += 1
        if self._begun > self._most:
            raise _unreadable(f"it has more than {self._most} parts")
        self._header = self._value = self._disposition = b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def headers_finished(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data":
            raise _unreadable("a part of it lacks Content-Disposition: form-data")
        # Latin-1 reads any byte: nobody needs the names of files, and some clients do not send them as UTF-8.
        self._name = options.get(b"name", b"").decode("latin-1")
        self._is_file = b"filename" in options or self._name in ("file", "files")
        self._is_named = bool(options.get(b"filename"))
        self._content = BytesIO()

    def data(self, data: bytes, start: int, end: int) -> None:
        # The parser takes a boundary that goes on with other bytes for content, and is slow at finding that out.
        if data.find(self._delimiter, start, end) >= 0:
            raise _unreadable("a boundary in it goes on with other bytes")
        if not self._is_file and self._content.tell() + end - start > _MOST_FIELD_BYTES:
            raise Problem("bad-parameter", f"{self._name[:80]}: is longer than {_MOST_FIELD_BYTES} bytes.")
        self._content.write(memoryview(data)[start:end])

    def end(self) -> None:
        content = self._content.getvalue()  # the buffer itself, no copy
        if self._is_file:
            if content or self._is_named:  # else an input that nobody filled
                self.form.files.append(content)
        else:
            self.form.fields[self._name] = content.decode("utf-8", "replace")

    def finish(self) -> None:
        self.complete = True


def _unreadable(why: str) -> Problem:
    return Problem("bad-request", f"The form cannot be read: {why}.")
