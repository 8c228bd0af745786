from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from foodscene.app.feedback import MOST_PIXELS_A_SIDE, keep
from foodscene.models.pixels import shrink


def test_nothing_is_kept_unless_the_operator_wants_it(client: TestClient, red: bytes) -> None:
    answer = client.post("/api/v1/feedback", files={"file": red}, data={"label": "red"})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "feedback-off")


def test_photos_are_kept_in_class_folders(start: Callable[..., TestClient], tmp_path: Path, red: bytes) -> None:
    client = start(feedback=tmp_path)
    for _ in range(2):
        answer = client.post("/api/v1/feedback", files={"file": red}, data={"label": "blue"})
        assert answer.json() == {"kept": True}
    (kept,) = tmp_path.rglob("*.*")
    assert (kept.parent.name, kept.suffix) == ("blue", ".jpg")
    for label in ("pink", "../red", ""):
        assert client.post("/api/v1/feedback", files={"file": red}, data={"label": label}).status_code == 422
    assert client.post("/api/v1/feedback", files={"file": b"x"}, data={"label": "red"}).status_code == 415
    assert len(list(tmp_path.rglob("*.*"))) == 1


def test_what_cannot_be_written_is_said(start: Callable[..., TestClient], tmp_path: Path, red: bytes) -> None:
    (tmp_path / "file").write_text("")
    client = start(feedback=tmp_path / "file")
    assert client.post("/api/v1/feedback", files={"file": red}, data={"label": "red"}).status_code == 503


def test_nothing_but_the_picture_is_kept(tmp_path: Path) -> None:
    image = Image.new("RGB", (2000, 1000), "red")
    exif = image.getexif()
    exif[0x010F] = "A camera"
    photo = BytesIO()
    image.save(photo, "JPEG", exif=exif, comment=b"secret")
    path = keep(shrink(photo.getvalue(), MOST_PIXELS_A_SIDE), "crème brûlée", tmp_path)
    kept = Image.open(path)
    assert kept.size == (1024, 512)
    assert not dict(kept.getexif())
    assert b"secret" not in path.read_bytes()
    assert path.parent.name == "crème brûlée"


@pytest.mark.parametrize("label", ["../up", "a/b", "..", "nul\0"])
def test_a_label_cannot_lead_out_of_the_folder(tmp_path: Path, label: str) -> None:
    photo = BytesIO()
    Image.new("RGB", (8, 8)).save(photo, "PNG")
    path = keep(shrink(photo.getvalue(), MOST_PIXELS_A_SIDE), label, tmp_path / "inner")
    assert (tmp_path / "inner") in path.resolve().parents
