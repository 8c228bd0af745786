"""Previews, and the pages as a browser without scripts sees them."""

from io import BytesIO

import pytest
from PIL import Image
from starlette.testclient import TestClient

from foodscene.app.pages.page import duration
from foodscene.app.pages.preview import LONGEST_SIDE
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
