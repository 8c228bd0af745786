import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from app.problems import Problem
from app.uploads import ClientGone, Uploads, parse


def form(*parts: tuple[str, bytes], end: bytes = b"--xx--\r\n") -> bytes:
    body = b""
    for disposition, content in parts:
        body += b"--xx\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"
    return body + end


def test_fields_and_files_are_told_apart() -> None:
    content = bytes(range(256)) * 50 + b"\r\n--x\r\n--xy"
    found = parse(
        form(('name="file"; filename="a.jpg"', content), ('name="top_k"', b"3"), ('name="top_k"', b"4")), b"xx"
    )
    assert found.files == [content]
    assert found.fields == {"top_k": "4"}


def test_a_photo_without_a_file_name_is_a_photo() -> None:
    assert parse(form(('name="file"', b"bytes")), b"xx").files == [b"bytes"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "bad-request"),
        (b"not a form at all", "bad-request"),
        (b"--xx\r\n\r\ncontent\r\n--xx--\r\n", "bad-request"),
        (form(('name="file"', b"x"), end=b""), "bad-request"),
        (form(*[('name="a"', b"")] * 201), "bad-request"),
        (form(('name="a"', b"x" * 5000)), "bad-parameter"),
        (form(('name="a"\r\nx: ' + "y" * 100_000, b"")), "bad-request"),
    ],
)
def test_what_is_no_form_is_a_problem(body: bytes, kind: str) -> None:
    with pytest.raises(Problem) as caught:
        parse(body, b"xx")
    assert caught.value.kind == kind


def test_a_part_without_a_name_is_read() -> None:
    assert parse(form(("x=y", b"content")), b"xx").fields == {"": "content"}


def test_a_file_s_name_may_be_any_bytes() -> None:
    body = b'--xx\r\nContent-Disposition: form-data; name="a"; filename="\xff\xfe"\r\n\r\nphoto\r\n--xx--\r\n'
    assert parse(body, b"xx").files == [b"photo"]


def test_a_client_that_goes_away_while_it_uploads_holds_nothing() -> None:
    uploads = Uploads(most_bytes=1000, most_held=1000, seconds=5)
    messages: list[Message] = [
        {"type": "http.request", "body": b"the beginning", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def upload() -> None:
        async with uploads.body(Request({"type": "http", "headers": []}, receive)):
            pass

    with pytest.raises(ClientGone):
        asyncio.run(upload())
    assert uploads.held == 0
