"""Previews, and the pages as a browser without scripts sees them."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from PIL import Image
from starlette.requests import Request
from starlette.testclient import TestClient

from foodscene.app.inference.decoder import Decoder
from foodscene.app.pages import preview
from foodscene.app.pages.page import duration
from foodscene.app.pages.preview import LONGEST_SIDE
from foodscene.app.service import Service
from foodscene.app.uploads import ClientGone
from tests.app.conftest import picture


def test_preview_is_a_small_upright_jpeg(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = BytesIO()
    Image.new("RGB", (4000, 3000), "red").save(photo, "JPEG", exif=exif)
    answer = client.post("/preview", files={"file": photo.getvalue()})
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    with Image.open(BytesIO(answer.content)) as shown:
        assert shown.size == (LONGEST_SIDE * 3 // 4, LONGEST_SIDE)


@pytest.mark.parametrize("path", ["/preview", "/"])
@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({"file": b"no photo"}, 415),
        ({"file": b""}, 400),
        ({"file": picture(size=(400, 300))[:200]}, 400),
        ({"other": (None, "text")}, 422),
    ],
)
def test_bad_uploads_are_refused(client: TestClient, path: str, files: dict[str, bytes], status: int) -> None:
    assert client.post(path, files=files).status_code == status


def test_answer_without_scripts_names_an_unknown_model_as_text(client: TestClient, red: bytes) -> None:
    answer = client.post("/", files={"file": red}, data={"model": "<script>"})
    assert answer.status_code == 404
    assert "&lt;script&gt;" in answer.text
    assert "<script>&#39;" not in answer.text


def test_words_for_milliseconds() -> None:
    assert [duration(time) for time in (6.14, 61.4, 6140)] == ["6.1 ms", "61 ms", "6.1 s"]


def test_previews_have_a_queue_of_their_own_and_a_deadline(
    start: Callable[..., TestClient], red: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(queue=8, side_queue=2, deadline_seconds=0.3)
    stuck = threading.Event()
    shrink = Decoder.shrink
    monkeypatch.setattr(Decoder, "shrink", lambda *arguments: stuck.wait(10) and shrink(*arguments))
    started = time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(client.post, "/preview", files={"file": red}) for _ in range(5)]
        assert client.post("/api/v1/predict", files={"file": red}).status_code == 200
        assert {one.result().status_code for one in asked} == {503, 504}
    assert time.monotonic() - started < 3
    stuck.set()
    assert client.post("/preview", files={"file": red}).status_code == 200


def test_previews_that_nobody_waits_for_are_not_made(
    start: Callable[..., TestClient], red: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    service: Service = start().app.state.service
    made = 0

    def shrink(_: bytes, longest: int) -> Image.Image:
        nonlocal made
        made += 1
        time.sleep(0.3)
        return Image.new("RGB", (longest, longest))

    monkeypatch.setattr(service.decoder, "shrink", shrink)

    async def gone() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def ask_and_leave() -> list[object]:
        asked = (preview.preview(red, service, Request({"type": "http", "headers": []}, gone)) for _ in range(20))
        return await asyncio.gather(*asked, return_exceptions=True)

    assert {type(outcome) for outcome in asyncio.run(ask_and_leave())} == {ClientGone}
    assert made <= 2
    assert service.previews.depth == 0


def test_the_answer_without_scripts_does_not_wait_for_previews(start: Callable[..., TestClient], red: bytes) -> None:
    client = start(side_queue=1)
    assert "data:image/jpeg" in client.post("/", files={"file": red}).text
    client.app.state.service.previews.depth = 1
    answer = client.post("/", files={"file": red})
    assert answer.status_code == 200
    assert '<h2 class="top">red</h2>' in answer.text.lower()
    assert "data:image/jpeg" not in answer.text
