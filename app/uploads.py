"""Request bodies: read while they arrive, into memory only, never beyond the limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from app.problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_PARTS = 200
_MOST_FIELD_BYTES = 4096
# A form of this size takes about a millisecond to take apart; above, other requests would notice.
_PARSED_AT_ONCE = 1_000_000


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

        Raises a `Problem`: `too-large` (at once if its header says so), `upload-too-slow`, `overloaded`, `bad-request`.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self.most_bytes:
            raise self._too_large()
        held = 0
        chunks = []
        try:
            async with asyncio.timeout(self.seconds):
                async for chunk in request.stream():
                    if held + len(chunk) > self.most_bytes:
                        raise self._too_large()
                    if self.held + len(chunk) > self.most_held:
                        raise Problem("overloaded", "Too many uploads are under way. Try again.", retry_after=1)
                    held += len(chunk)
                    self.held += len(chunk)
                    chunks.append(chunk)
            yield b"".join(chunks)
        except TimeoutError:
            raise Problem("upload-too-slow", f"The body did not arrive within {self.seconds:g} seconds.") from None
        finally:
            self.held -= held

    @asynccontextmanager
    async def form(self, request: Request) -> AsyncIterator[Form]:
        """The multipart form that a request carries, counted as held until the block ends."""
        kind, options = parse_options_header(request.headers.get("content-type"))
        async with self.body(request) as body:
            if not kind and not body:
                yield Form()
                return
            boundary = options.get(b"boundary")
            if kind != b"multipart/form-data" or not boundary:
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
    reader = _FormReader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem("bad-request", f"The form cannot be read: {error}.") from error
    if not reader.complete:
        raise Problem("bad-request", "The form is cut short: its last boundary is missing.")
    return reader.form


class _FormReader:
    """Puts a form together from what the parser finds."""

    def __init__(self) -> None:
        self.form = Form()
        self.complete = False
        self._parts = 0
        self._header = self._disposition = b""
        self._content: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_named,
            "on_header_value": self._header_valued,
            "on_header_end": self._header_ends,
            "on_part_data": self._part_continues,
            "on_part_end": self._part_ends,
            "on_end": self._ends,
        }

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Problem("bad-request", f"The form has more than {_MOST_PARTS} parts.")
        self._disposition, self._content = b"", []

    def _header_named(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_valued(self, data: bytes, start: int, end: int) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition += data[start:end]

    def _header_ends(self) -> None:
        self._header = b""

    def _part_continues(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def _part_ends(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        value = b"".join(self._content)
        if b"filename" in options or name in ("file", "files"):
            self.form.files.append(value)
        elif len(value) > _MOST_FIELD_BYTES:
            raise Problem("bad-parameter", f"{name[:80]}: is longer than {_MOST_FIELD_BYTES} bytes.")
        else:
            self.form.fields[name] = value.decode("utf-8", "replace")

    def _ends(self) -> None:
        self.complete = True
