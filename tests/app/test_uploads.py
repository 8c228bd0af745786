import asyncio
import gc
import gzip
import logging
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Annotated

import fastapi
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from foodscene.app.problems import Problem
from foodscene.app.uploads import ClientGone, Form, FormReader, Uploads


def parse(body: bytes, boundary: bytes, step: int = 1 << 20) -> Form:
    """What a form that arrives in chunks of `step` bytes is read as."""
    reader = FormReader(boundary, most_parts=200)
    for start in range(0, len(body), step):
        reader.write(body[start : start + step])
    return reader.form()


def form(*parts: tuple[str, bytes], end: bytes = b"--xx--\r\n") -> bytes:
    body = b""
    for disposition, content in parts:
        body += b"--xx\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"
    return body + end


@pytest.mark.parametrize("step", [1, 2, 7, 1000, 1 << 20])
def test_fields_and_files_are_told_apart(step: int) -> None:
    content = bytes(range(256)) * 50 + b"\r\n--x\r\n--xy"
    body = form(('name="file"; filename="a.jpg"', content), ('name="top_k"', b"3"), ('name="top_k"', b"4"))
    found = parse(body, b"xx", step)
    assert found.files == [content]
    assert found.fields == {"top_k": "4"}


def test_a_photo_without_a_file_name_is_a_photo() -> None:
    assert parse(form(('name="file"', b"bytes")), b"xx").files == [b"bytes"]


def test_an_input_that_nobody_filled_is_no_photo() -> None:
    body = form(('name="file"; filename="a.jpg"', b""), ('name="file"; filename=""', b""), ('name="file"', b""))
    assert parse(body, b"xx").files == [b""]  # of the one that has a name


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
        (form(('name="a"' + "\r\nx: y" * 8, b"")), "bad-request"),
        (form(('name="file"', b"photo\r\n--xxmore")), "bad-request"),
        (form(('name="file"', b"photo")).replace(b"form-data", b"attachment"), "bad-request"),
    ],
)
@pytest.mark.parametrize("step", [13, 1 << 20])
def test_what_is_no_form_is_a_problem(body: bytes, kind: str, step: int) -> None:
    with pytest.raises(Problem) as caught:
        parse(body, b"xx", step)
    assert caught.value.kind == kind


def test_a_boundary_that_no_client_makes_is_a_problem() -> None:
    with pytest.raises(Problem) as caught:
        parse(form(('name="file"', b"photo")), b"x" * 5000)
    assert caught.value.kind == "bad-request"


def test_a_malformed_form_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Problem):
        parse(b"not a form at all", b"xx")
    assert caplog.records == []


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


def request(chunks: Iterator[bytes], content_type: str, encoding: str = "") -> Request:
    """A request whose body arrives in these chunks."""

    async def receive() -> Message:
        chunk = next(chunks, b"")
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

    headers = [(b"content-type", content_type.encode()), (b"content-encoding", encoding.encode())]
    return Request({"type": "http", "headers": headers}, receive)


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("text/plain", b"photo", "unsupported-media-type"),
        ("text/plain", b"", "unsupported-media-type"),
        ("multipart/form-data", b"photo", "unsupported-media-type"),
        ("", b"photo", "unsupported-media-type"),
        ("multipart/form-data; boundary=xx", b"photo" * 300, "too-large"),
        ("text/plain", b"photo" * 300, "too-large"),
    ],
)
def test_a_body_that_is_no_form_is_a_problem(content_type: str, body: bytes, kind: str) -> None:
    uploads = Uploads(most_bytes=1000, most_held=1000, seconds=5)

    async def upload() -> None:
        async with uploads.form(request(iter([body]), content_type)):
            pass

    with pytest.raises(Problem) as caught:
        asyncio.run(upload())
    assert caught.value.kind == kind
    assert uploads.held == 0


def test_a_request_without_a_body_is_an_empty_form() -> None:
    async def upload() -> Form:
        async with Uploads(1000, 1000, 5).form(request(iter([]), "")) as form:
            return form

    assert asyncio.run(upload()) == Form()


def test_a_mistake_in_a_form_is_told_when_all_of_it_has_arrived() -> None:
    chunks = iter([b"not a form", b"at all"])

    async def upload() -> None:
        async with Uploads(1000, 1000, 5).form(request(chunks, "multipart/form-data; boundary=xx")):
            pass

    with pytest.raises(Problem):
        asyncio.run(upload())
    assert next(chunks, None) is None


@pytest.mark.parametrize("as_form", [True, False])
def test_a_body_is_held_once(as_form: bool) -> None:
    chunk, count = 65536, 500
    content_type = "multipart/form-data; boundary=xx" if as_form else "image/jpeg"

    def chunks() -> Iterator[bytes]:
        if as_form:
            yield b'--xx\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        for _ in range(count):
            yield b"p" * chunk
        if as_form:
            yield b"\r\n--xx--\r\n"

    async def upload() -> int:
        uploads = Uploads(1 << 30, 1 << 30, 5)
        if as_form:
            async with uploads.form(request(chunks(), content_type)) as form:
                return len(form.files[0])
        async with uploads.body(request(chunks(), content_type)) as body:
            return len(body)

    gc.collect()
    gc.disable()  # what only the collector frees is held for a while after the answer
    tracemalloc.start()
    try:
        assert asyncio.run(upload()) == chunk * count
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak < 1.25 * chunk * count
    assert held < 0.1 * chunk * count


def receive(body: bytes, encoding: str, step: int, most: int) -> bytes:
    """What a compressed body that arrives in chunks of `step` bytes is read as."""
    chunks = (body[start : start + step] for start in range(0, len(body), step))
    uploads = Uploads(most, most, 5)

    async def upload() -> bytes:
        async with uploads.body(request(chunks, "image/jpeg", encoding)) as found:
            assert uploads.held == len(found)
            return found

    try:
        return asyncio.run(upload())
    finally:
        assert uploads.held == 0


@pytest.mark.parametrize("step", [1, 100, 1 << 20])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_body_is_inflated_in_whatever_chunks_it_comes(encoding: str, step: int) -> None:
    body = bytes(range(256)) * 100 + bytes(1_000_000)
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    assert receive(packed, encoding, step, len(body)) == body
    with pytest.raises(Problem) as caught:
        receive(packed, encoding, step, len(body) - 1)
    assert caught.value.kind == "too-large"


@pytest.mark.parametrize("step", [7, 1 << 20])
def test_a_compressed_body_that_is_damaged_is_a_problem(step: int) -> None:
    packed = gzip.compress(bytes(range(256)) * 100)
    for wrong in (packed[:-1], packed[:-4] + b"0000", b"no gzip", b"", packed + b"more", packed + packed):
        with pytest.raises(Problem) as caught:
            receive(wrong, "gzip", step, 1 << 20)
        assert caught.value.kind == "bad-request"


def test_a_compressed_bomb_is_given_up_where_the_limit_is() -> None:
    bomb = gzip.compress(bytes(200_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(Problem) as caught:
            receive(bomb, "gzip", 1 << 16, 1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.kind == "too-large"
    assert peak < 4_000_000


def test_an_app_beside_ours_may_have_forms() -> None:
    """FastAPI refuses such a route where the package of another name is installed in place of python-multipart."""
    beside = fastapi.FastAPI()

    @beside.post("/name")
    def name(name: Annotated[str, fastapi.Form()], photo: Annotated[bytes, fastapi.File()]) -> str:
        return f"{name}: {len(photo)}"

    answer = TestClient(beside).post("/name", data={"name": "ramen"}, files={"photo": b"bytes"})
    assert answer.json() == "ramen: 5"


def test_a_body_that_does_not_arrive_in_time_is_given_up() -> None:
    uploads = Uploads(most_bytes=1000, most_held=1000, seconds=0.05)

    async def receive() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def upload() -> None:
        async with uploads.body(Request({"type": "http", "headers": []}, receive)):
            pass

    with pytest.raises(Problem, match=r"did not arrive within 0\.05 seconds") as caught:
        asyncio.run(upload())
    assert caught.value.status == 408
    assert uploads.held == 0


@pytest.mark.parametrize("empty", [b"\0\0\0\xff\xff", b"\x02\0"], ids=["stored", "fixed codes"])
def test_a_compressed_body_without_content_has_an_end(empty: bytes) -> None:
    """Blocks of nothing, for ever, are as large as nothing."""
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b"\x78\x9c"
        while True:
            taken += 1
            yield empty * (60_000 // len(empty))

    async def upload() -> None:
        async with Uploads(1_000_000, 1 << 30, 60).body(request(endless(), "image/jpeg", "deflate")):
            pass

    with pytest.raises(Problem) as caught:
        asyncio.run(upload())
    assert caught.value.kind in ("too-large", "bad-request")
    assert taken < 20
