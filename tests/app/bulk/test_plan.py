"""What the paths of a command name."""

import os
from pathlib import Path

import pytest

from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.plan import Item, items, plan
from tests.app.bulk.conftest import RED, tarred, zipped


def named(*paths: str) -> list[str]:
    return [f"{item.path}/{item.inside}" if item.inside else item.path for item in plan(paths)]


def test_a_folder_is_its_photos_and_archives_in_the_order_of_names(write) -> None:
    write(
        {
            "set/b/2.png": RED,
            "set/b/10.JPG": RED,
            "set/a.webp": RED,
            "set/notes.txt": b"b/2.png",
            "set/labels.csv": b"path\nx",
            "set/.hidden.jpg": RED,
            "set/__MACOSX/x.jpg": RED,
            "set/shard.tar": tarred({"x.jpg": RED}),
            "set/set.zip": zipped({"y.jpg": RED, "y.json": b"{}"}),
        }
    )
    assert named("set") == ["set/a.webp", "set/b/10.JPG", "set/b/2.png", "set/set.zip/y.jpg", "set/shard.tar"]


def test_a_folder_that_links_to_itself_ends(write, place: Path) -> None:
    write({"set/a.jpg": RED})
    (place / "set" / "again").symlink_to(place / "set")
    assert named("set") == ["set/a.jpg"]


def test_paths_come_in_the_order_of_the_command_and_a_file_that_is_named_counts_whatever_it_is_called(write) -> None:
    write({"z": RED, "a.jpg": RED})
    assert named("z", "a.jpg") == ["z", "a.jpg"]


def test_a_pattern_is_what_it_matches_unless_a_file_is_called_so(write) -> None:
    write({"a1.jpg": RED, "a2.jpg": RED, "a3.txt": b"", "b/c/d.png": RED, "[x].jpg": RED})
    assert named("a*") == ["a1.jpg", "a2.jpg"]
    assert named("**/*.png") == ["b/c/d.png"]
    assert named("[x].jpg") == ["[x].jpg"]


def test_of_an_archive_a_folder_or_a_pattern_may_be_meant(write) -> None:
    members = {"train/a.jpg": RED, "pred/b.jpg": RED, "predicted/c.jpg": RED, "pred/notes.txt": b""}
    write({"set.zip": zipped(members)})
    assert named("set.zip/pred") == ["set.zip/pred/b.jpg"]
    assert named("set.zip/pred/") == ["set.zip/pred/b.jpg"]
    assert named("set.zip/*/[ac].jpg") == ["set.zip/train/a.jpg", "set.zip/predicted/c.jpg"]
    with pytest.raises(BulkError, match=r"set\.zip/none holds no photo"):
        named("set.zip/none")


def test_a_list_names_photos_from_its_own_folder_on_and_archives(write) -> None:
    write(
        {
            "lists/all.txt": b"\xef\xbb\xbfa.jpg\r\n\n  /abs/b.jpg \nhttps://host/c.jpg\nd.zip\n../gone.jpg",
            "lists/d.zip": zipped({"e.jpg": RED}),
            "lists/all.csv": b'label,path\nsoup,"x, y.jpg"\n',
        }
    )
    assert named("lists/all.txt") == [
        "lists/a.jpg",
        "/abs/b.jpg",
        "https://host/c.jpg",
        "lists/d.zip/e.jpg",
        "lists/../gone.jpg",
    ]
    assert named("lists/all.csv") == ["lists/x, y.jpg"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"label,photograph\nx,y\n", "no column of paths"),
        ("a.csv", b"label,path\nx,a.jpg\ny", "ends early or is damaged: line 3 has 1 of 2 columns"),
        ("a.txt", RED, "not UTF-8"),
        ("a.txt", b"a\0b", "no path has"),
        ("a.txt", b"x" * 100_000, "no path has"),
        ("a.txt", b"\n\n", "holds no photo"),
        ("a.zip", b"PK\3\4 and no more", "no zip that can be read"),
        ("a.zip", zipped({"a.txt": b""}), "holds no photo"),
    ],
)
def test_what_cannot_be_a_list_or_an_archive_is_told(write, name: str, content: bytes, reason: str) -> None:
    write({name: content})
    with pytest.raises(BulkError, match=reason):
        named(name)


@pytest.mark.parametrize(
    ("path", "reason"), [("absent", "absent is not there"), ("*.jpg", "holds no photo"), ("set", "set holds no photo")]
)
def test_a_path_that_names_nothing_is_told(place: Path, path: str, reason: str) -> None:
    (place / "set").mkdir()
    with pytest.raises(BulkError, match=reason):
        named(path)


def test_a_plan_that_was_kept_is_the_same(write, place: Path) -> None:
    made = [Item("file", os.fsdecode(b"\xff.jpg"), size=None), Item("tar", "a.tar", "in", 5, None)]
    assert list(items(item.line() for item in made)) == made
