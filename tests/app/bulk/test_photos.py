"""The photos of a plan, as they are read."""

import os
import shutil
from pathlib import Path

import pytest

from foodscene.app.bulk import photos
from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.photos import BEGIN, Photo, Position, Reader
from foodscene.app.bulk.plan import Item, plan
from tests.app.bulk.conftest import BLUE, LIME, RED, tarred, zipped


def read(*paths: str, start: Position = BEGIN) -> list[Photo]:
    return [photo for chunk in Reader(list(plan(paths)), start, paths).chunks() for photo in chunk]


EVERYTHING = {
    "1.png": RED,
    "2.tar": tarred({"a.jpg": RED, "a.json": b"{}", "b.jpg": LIME}),
    "3.tar.gz": tarred({"in/c.jpg": BLUE}, "w:gz"),
    "4.zip": zipped({"d.jpg": RED, "e.jpg": LIME}),
    "5.png": BLUE,
}


def test_photos_come_in_order_from_wherever_they_are(write) -> None:
    write({f"set/{name}": content for name, content in EVERYTHING.items()})
    found = read("set")
    assert [(photo.path, photo.content) for photo in found] == [
        ("set/1.png", RED),
        ("set/2.tar/a.jpg", RED),
        ("set/2.tar/b.jpg", LIME),
        ("set/3.tar.gz/in/c.jpg", BLUE),
        ("set/4.zip/d.jpg", RED),
        ("set/4.zip/e.jpg", LIME),
        ("set/5.png", BLUE),
    ]


def test_after_any_photo_reading_goes_on_with_the_next(write) -> None:
    write({f"set/{name}": content for name, content in EVERYTHING.items()})
    found = read("set")
    for done, photo in enumerate(found, 1):
        assert read("set", start=photo.after) == found[done:]


def test_what_cannot_be_read_is_told_and_the_rest_comes(write, place: Path) -> None:
    write({"set/a.png": RED, "set/b.png": LIME, "list.txt": b"set/a.png\nset/gone.png\nset\nset/pipe.png\nset/b.png"})
    os.mkfifo(place / "set" / "pipe.png")
    first, *bad, last = read("list.txt")
    assert (first.content, last.content) == (RED, LIME)
    reasons = ["No such file", "a folder", "a pipe"]
    assert all(reason in str(photo.content) for reason, photo in zip(reasons, bad, strict=True))


def test_a_member_that_is_damaged_is_told_and_the_rest_comes(write) -> None:
    content = zipped({"a.jpg": RED, "b.jpg": LIME})
    write({"set.zip": content.replace(RED, RED[:-1] + b"?")})
    bad, good = read("set.zip")
    assert "CRC" in str(bad.content)
    assert good.content == LIME


def test_a_file_larger_than_any_photo_is_told(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "MOST_BYTES", len(RED) - 1)
    write({"a.tar": tarred({"a.jpg": RED}), "b.zip": zipped({"b.jpg": RED})})
    assert all("MB" in str(photo.content) for photo in read("a.tar", "b.zip"))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_an_archive_that_ends_early_is_told_after_its_photos(write, ending: str, kept: float) -> None:
    members = {f"{number}.jpg": os.urandom(3000) for number in range(20)}
    content = tarred(members, "w:gz" if ending.endswith("gz") else "w")
    write({f"a{ending}": content[: int(20 * 3000 * kept)]})
    chunks = Reader(list(plan([f"a{ending}"]))).chunks()
    found = [photo.content for photo in next(chunks)]
    assert found == list(members.values())[: len(found)]
    assert len(found) in range(int(20 * kept) - 6, int(20 * kept) + 1)
    with pytest.raises(BulkError, match=rf"a{ending} ends early or is damaged"):
        next(chunks)


def test_a_tar_that_ends_between_two_members_is_not_whole(write) -> None:
    content = tarred({"a.jpg": RED})
    write({"a.tar": content[: 512 + 512 * -(-len(RED) // 512)]})
    with pytest.raises(BulkError, match="lacks the block that ends a tar"):
        read("a.tar")


def test_photos_of_a_folder_that_is_gone_are_not_called_damaged(write) -> None:
    write({"set/a.png": RED, "set/b.png": RED})
    made = list(plan(["set"]))
    shutil.rmtree("set")
    with pytest.raises(BulkError, match="set is not there any more"):
        list(Reader(made, sources=["set"]).chunks())


def test_what_is_held_together_has_a_bound(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "_BYTES", 3 * len(RED) - 1)
    write({f"set/{number}.png": RED for number in range(7)})
    chunks = list(Reader(list(plan(["set"]))).chunks())
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]


def test_names_that_are_no_text_are_shown_and_read(write, place: Path) -> None:
    name = os.fsdecode(b"\xff\xe4.png")
    (place / "set").mkdir()
    (place / "set" / name).write_bytes(RED)
    [photo] = read("set")
    assert photo == Photo("set/\\xff\\xe4.png", RED, Position(1))


def test_how_far_a_tar_was_read_is_known(write) -> None:
    write({"a.tar": tarred({f"{number}.jpg": RED for number in range(9)})})
    reader = Reader([Item("tar", "a.tar", photos=None, size=Path("a.tar").stat().st_size)])
    assert [len(chunk) for chunk in reader.chunks()] == [9]
    assert (reader.tar_photos, reader.tar_bytes) == (9, Path("a.tar").stat().st_size)
