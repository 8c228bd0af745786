"""Request bodies: read while they arrive, into memory only, never beyond the limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from starlette.requests import Request

from app.problems import Problem

_MOST_PARTS = 200
_MOST_FIELD_BYTES = 4096
# A form of this size takes about a millisecond to take apart; above, other requests would notice.
_PARSED_AT_ONCE = 1_000_000


class ClientGone(Exception):
    """The client closed the connection: nobody waits for the answer."""


@dataclass(slots=True)
class Form:
    """A form's fields by name, the last one of each name, and the contents of its files named `file` or `files`."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[bytes] = field(default_factory=list)


class Uploads:
    """Receives bodies: at most `most_bytes` each, and at most `most_held` of all that are held at the moment.

    A body that does not arrive within `seconds` is given up.
    """

    def __init__(self, most_bytes: int, most_held: int, seconds: float) -> None:
        self.most_bytes, self.most_held, self.seconds = most_bytes, most_held, seconds
        self.held = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request, counted as held until the block ends.

        Raises `ClientGone` or a `Problem`: `too-large`, at once if its header says so, `upload-too-slow`, `overloaded`.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self.most_bytes:
            raise self._too_large()
        held = 0
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self.seconds):
                more = True
                while more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    chunk = message.get("body", b"")
                    if held + len(chunk) > self.most_bytes:
                        raise self._too_large()
                    if self.held + len(chunk) > self.most_held:
                        raise Problem("overloaded", "Too many uploads are under way. Try again.", retry_after=1)
                    held += len(chunk)
                    self.held += len(chunk)
                    chunks.append(chunk)
                    more = message.get("more_body", False)
            yield b"".join(chunks)
        except TimeoutError:
            raise Problem("upload-too-slow", f"The body did not arrive within {self.seconds:g} seconds.") from None
        finally:
            self.held -= held

    @asynccontextmanager
    async def form(self, request: Request) -> AsyncIterator[Form]:
        """The multipart form that a request carries, counted as held until the block ends. Raises as `body` does."""
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        async with self.body(request) as body:
            if not kind and not body:
                yield Form()
                return
            boundary = options.get("boundary", "").encode("latin-1")
            if kind != "multipart/form-data" or not boundary:
                raise Problem(
                    "unsupported-media-type", "Send a form: multipart/form-data with a boundary, as curl -F does."
                )
            if len(body) > _PARSED_AT_ONCE:
                yield await asyncio.to_thread(parse, body, boundary)
            else:
                yield parse(body, boundary)

    def _too_large(self) -> Problem:
        return Problem("too-large", f"The upload is larger than {self.most_bytes / 1e6:g} MB.")


def parse(body: bytes, boundary: bytes) -> Form:
    """Take a multipart form apart. Raises a `Problem`: `bad-request` for what is no form, `bad-parameter`."""
    form = Form()
    try:
        # Latin-1 reads any byte: nobody needs the names of files, and some clients do not send them as UTF-8.
        with PushMultipartParser(boundary, max_segment_count=_MOST_PARTS, header_charset="latin-1") as parser:
            for event in parser.parse(body):
                if isinstance(event, MultipartSegment):
                    part, content = event, b""
                elif event is not None:
                    content = event  # the whole of it, as the parser was given the whole body
                else:
                    _add(form, part, content)
    except MultipartError as error:
        raise Problem("bad-request", f"The form cannot be read: {error}.") from error
    return form


def _add(form: Form, part: MultipartSegment, content: bytes) -> None:
    name = part.name or ""
    if part.filename is not None or name in ("file", "files"):
        form.files.append(content)
    elif len(content) > _MOST_FIELD_BYTES:
        raise Problem("bad-parameter", f"{name[:80]}: is longer than {_MOST_FIELD_BYTES} bytes.")
    else:
        form.fields[name] = content.decode("utf-8", "replace")
