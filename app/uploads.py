"""Request bodies: read while they arrive, into memory only, never beyond the limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from app.problems import Problem

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
    form = Form()
    parts = 0
    disposition = b""
    header = b""
    content: list[bytes] = []

    def part_begins() -> None:
        nonlocal parts, disposition
        parts += 1
        if parts > _MOST_PARTS:
            raise Problem("bad-request", f"The form has more than {_MOST_PARTS} parts.")
        disposition = b""
        content.clear()

    def header_named(data: bytes, start: int, end: int) -> None:
        nonlocal header
        header += data[start:end]

    def header_valued(data: bytes, start: int, end: int) -> None:
        nonlocal disposition
        if header.lower() == b"content-disposition":
            disposition += data[start:end]

    def header_ends() -> None:
        nonlocal header
        header = b""

    def part_ends() -> None:
        _, options = parse_options_header(disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        value = b"".join(content)
        if b"filename" in options or name in ("file", "files"):
            form.files.append(value)
        elif len(value) > _MOST_FIELD_BYTES:
            raise Problem("bad-parameter", f"{name[:80]}: is longer than {_MOST_FIELD_BYTES} bytes.")
        else:
            form.fields[name] = value.decode("utf-8", "replace")

    def ends() -> None:
        nonlocal complete
        complete = True

    complete = False
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": part_begins,
                "on_header_field": header_named,
                "on_header_value": header_valued,
                "on_header_end": header_ends,
                "on_part_data": lambda data, start, end: content.append(data[start:end]),
                "on_part_end": part_ends,
                "on_end": ends,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem("bad-request", f"The form cannot be read: {error}.") from error
    if not complete:
        raise Problem("bad-request", "The form is cut short: its last boundary is missing.")
    return form
