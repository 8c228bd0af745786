import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from foodscene.app import feedback
from foodscene.app.feedback import MOST_PIXELS_A_SIDE, Corrections
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
    path = Corrections(tmp_path, 10**9).keep(shrink(photo.getvalue(), MOST_PIXELS_A_SIDE), "crème brûlée")
    kept = Image.open(path)
    assert kept.size == (1024, 512)
    assert not dict(kept.getexif())
    assert b"secret" not in path.read_bytes()
    assert path.parent.name == "crème brûlée"


@pytest.mark.parametrize("label", ["../up", "a/b", "..", ". ", "nul\0", "x" * 900, "è" * 900])
def test_a_label_cannot_lead_out_of_the_folder(tmp_path: Path, label: str) -> None:
    photo = BytesIO()
    Image.new("RGB", (8, 8)).save(photo, "PNG")
    path = Corrections(tmp_path / "inner", 10**9).keep(shrink(photo.getvalue(), MOST_PIXELS_A_SIDE), label)
    assert path.resolve().parent.parent == tmp_path / "inner"
    assert Corrections(tmp_path / "inner", path.stat().st_size).is_full()  # it is counted


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://testserver:81"},
        {"origin": "http://testserver.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://other.testserver"},
        {"origin": "http://testserver", "sec-fetch-site": "cross-site"},
    ],
)
def test_pages_of_other_origins_keep_nothing(
    start: Callable[..., TestClient], tmp_path: Path, red: bytes, headers: dict[str, str]
) -> None:
    client = start(feedback=tmp_path, cors_origins="https://ours.example")
    answer = client.post("/api/v1/feedback", files={"file": red}, data={"label": "red"}, headers=headers)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "foreign-origin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://testserver"},
        {"origin": "https://TESTSERVER"},
        {"origin": "https://food.example", "sec-fetch-site": "same-origin"},  # behind a proxy that names itself as Host
        {"origin": "https://ours.example", "sec-fetch-site": "cross-site"},
    ],
)
def test_the_own_page_and_programs_may_send_corrections(
    start: Callable[..., TestClient], tmp_path: Path, red: bytes, headers: dict[str, str]
) -> None:
    client = start(feedback=tmp_path, cors_origins="https://ours.example")
    answer = client.post("/api/v1/feedback", files={"file": red}, data={"label": "red"}, headers=headers)
    assert answer.json() == {"kept": True}


def test_what_is_kept_is_bounded_in_bytes(start: Callable[..., TestClient], tmp_path: Path) -> None:
    client = start(feedback=tmp_path, max_feedback_mb=0.5)
    statuses = []
    for seed in range(12):
        photo = BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (256, 256, 3), np.uint8)
        Image.fromarray(pixels).save(photo, "PNG")
        answer = client.post("/api/v1/feedback", files={"file": photo.getvalue()}, data={"label": "red"})
        statuses.append(answer.status_code)
    kept = sum(path.stat().st_size for path in tmp_path.rglob("*.jpg"))
    assert statuses[0] == 200
    assert statuses[-1] == 403
    assert 500_000 <= kept < 700_000
    again = start(feedback=tmp_path, max_feedback_mb=0.5)  # counts what is there
    assert again.post("/api/v1/feedback", files={"file": photo.getvalue()}, data={"label": "red"}).status_code == 403


def test_the_folder_is_not_walked_for_every_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "red").mkdir()
    for number in range(3):
        (tmp_path / "red" / f"{number}.jpg").write_bytes(bytes(100))
    walks = 0
    scandir = os.scandir

    def counted(path: object) -> object:
        nonlocal walks
        walks += 1
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(feedback.os, "scandir", counted)
    corrections = Corrections(tmp_path, 2000)
    full = []
    for shade in range(6):
        full.append(corrections.is_full())
        corrections.keep(Image.new("RGB", (8, 8), (shade * 40, 0, 0)), "red")
    assert full[0] is False
    assert full[-1] is True
    assert walks == 2
    monkeypatch.setattr(feedback, "_COUNTED_SECONDS", 0.0)
    assert corrections.is_full()
    assert walks == 4
