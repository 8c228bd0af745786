"""Folders are the old ones or the new ones, whole, and keep what is not ours."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foodscene.models import folders
from foodscene.models.files import OccupiedError

OURS = ("a", "b")
NAMES = re.compile(r"page\.html|pictures/\d\.png")


def tree(folder: Path) -> dict[str, str]:
    """The files below a folder, hidden ones too, and what is in them."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def write_half(folder: Path) -> None:
    with folders.replacing(folder, OURS) as new:
        (new / "a").write_text("half")
        raise KeyboardInterrupt


def test_a_folder_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with folders.replacing(folder, OURS) as new:
        assert new.name == "folder"
        (new / "a").write_text("old")
        (new / "b").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_half(folder)
    assert tree(tmp_path) == {"folder/a": "old", "folder/b": "old"}
    with folders.replacing(folder, OURS) as new:
        (new / "a").write_text("new")
        assert (folder / "a").read_text() == "old"
    assert tree(tmp_path) == {"folder/a": "new"}


@pytest.mark.parametrize("links", [True, False], ids=["by a second name", "by a copy"])
def test_what_is_not_ours_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    folder = tmp_path / "folder"
    (folder / "holiday").mkdir(parents=True)
    (folder / "holiday" / "1.jpg").write_text("photo")
    (folder / "notes.txt").write_text("mine")
    (folder / "a").write_text("old")
    (folder / "link").symlink_to("notes.txt")
    if not links:
        monkeypatch.delattr(os, "link")
        monkeypatch.setattr(os, "link", lambda *_, **__: (_ for _ in ()).throw(OSError()), raising=False)
    with folders.replacing(folder, OURS) as new:
        (new / "a").write_text("new")
        (folder / "late.txt").write_text("came while the new one was made")
        monkeypatch.setattr(folders, "_sync_tree", lambda _: (folder / "holiday" / "2.jpg").write_text("later"))
    kept = {
        "holiday/1.jpg": "photo",
        "holiday/2.jpg": "later",
        "notes.txt": "mine",
        "link": "mine",
        "late.txt": "came while the new one was made",
    }
    assert tree(folder) == {"a": "new", **kept}
    assert (folder / "link").is_symlink()
    assert list(tmp_path.iterdir()) == [folder]


def test_without_an_exchange_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        pass

    monkeypatch.setattr(folders.ctypes, "CDLL", lambda *_, **__: Nothing())
    folder = tmp_path / "folder"
    for content in ("old", "new"):
        with folders.replacing(folder, OURS) as new:
            (new / "a").write_text(content)
        assert tree(tmp_path) == {"folder/a": content}


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    program = (
        "import sys, time, pathlib\nfrom foodscene.models import folders\n"
        "with folders.replacing(pathlib.Path(sys.argv[1]), ('a',)) as new:\n"
        "    (new / 'a').write_text('half'); print(flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(folder)]
    (tmp_path / ".folder.unfinished-thesis").mkdir()  # a name like ours, but not ours
    with subprocess.Popen(command, stdout=subprocess.PIPE) as dead, subprocess.Popen(command, stdout=-1) as living:
        assert dead.stdout
        assert living.stdout
        dead.stdout.readline()
        living.stdout.readline()
        os.kill(dead.pid, signal.SIGKILL)
        dead.wait()
        with folders.replacing(folder, OURS) as new:
            (new / "a").write_text("whole")
        [left] = [path for path in tmp_path.glob(".folder.unfinished-*") if any(path.iterdir())]
        with (left / "foodscene.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(living.pid, signal.SIGKILL)
    with folders.replacing(folder, OURS) as new:
        (new / "a").write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".folder.unfinished-thesis", "folder"]


def test_the_old_folder_comes_back_after_a_kill_between_two_steps(tmp_path: Path) -> None:
    left = tmp_path / ".folder.unfinished-1234"
    (left / "foodscene.old").mkdir(parents=True)
    (left / "foodscene.old" / "a").write_text("old")
    (left / "foodscene.lock").touch()
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "folder")
    assert tree(tmp_path) == {"folder/a": "old"}


def test_the_first_of_two_that_make_the_same_folder_counts(tmp_path: Path) -> None:
    with folders.adding(tmp_path / "folder") as new:
        (new / "a").write_text("second")
        with folders.adding(tmp_path / "folder") as other:
            (other / "a").write_text("first")
    assert tree(tmp_path) == {"folder/a": "first"}


def test_only_what_was_published_is_replaced_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "pictures" / "holiday").mkdir(parents=True)
    theirs = {"pictures/mine.png": "photo", "pictures/holiday/1.png": "photo", "notes.txt": "mine"}
    for name, content in theirs.items():
        (folder / name).write_text(content)
    for pictures in (3, 1):
        folders.check_publishable(folder, NAMES)
        with folders.publishing(folder, NAMES) as new:
            (new / "pictures").mkdir()
            (new / "page.html").write_text(str(pictures))
            for number in range(pictures):
                (new / "pictures" / f"{number}.png").write_text("drawn")
    found = tree(folder)
    del found[".foodscene.json"]
    assert found == {"page.html": "1", "pictures/0.png": "drawn", **theirs}


@pytest.mark.parametrize("name", ["page.html", "pictures/0.png"])
def test_what_somebody_else_wrote_is_not_published_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(OccupiedError, match=f"{name} was not written by foodscene"):
        folders.check_publishable(tmp_path, NAMES)


def test_what_somebody_changed_is_theirs(tmp_path: Path) -> None:
    with folders.publishing(tmp_path, NAMES) as new:
        (new / "pictures").mkdir()
        (new / "page.html").write_text("ours")
        (new / "pictures" / "0.png").write_text("ours")
    (tmp_path / "page.html").write_text("with my remarks")
    with pytest.raises(OccupiedError, match="or was changed since"):
        folders.check_publishable(tmp_path, NAMES)
    (tmp_path / "pictures" / "0.png").write_text("with my remarks")
    with folders.publishing(tmp_path, NAMES):
        pass
    assert (tmp_path / "pictures" / "0.png").read_text() == "with my remarks", "not removed"


@pytest.mark.parametrize(
    "manifest",
    [
        '{"files": {"../precious.txt": null, "notes.txt": null}}',
        '{"files": null}',
        '{"files": ["page.html"]}',
        "[]",
        "{",
    ],
)
def test_a_manifest_that_came_from_somebody_removes_nothing(tmp_path: Path, manifest: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    theirs = [tmp_path / "precious.txt", folder / "notes.txt"]
    for path in theirs:
        path.write_text("mine")
    (folder / ".foodscene.json").write_text(manifest)
    folders.check_publishable(folder, NAMES)
    with folders.publishing(folder, NAMES) as new:
        (new / "page.html").write_text("ours")
    assert [path.read_text() for path in theirs] == ["mine", "mine"]


def test_a_file_where_a_folder_is_to_be_is_seen_first(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("mine")
    with pytest.raises(OccupiedError, match="pictures is a file, where a folder is to be"):
        folders.check_publishable(tmp_path, NAMES, below=["pictures"])


def test_files_are_removed_by_name(tmp_path: Path) -> None:
    (tmp_path / "folder" / "0").mkdir(parents=True)
    for name in ("1", "thesis"):
        (tmp_path / "folder" / name).touch()
    assert not folders.remove(tmp_path / "folder", re.compile(r"\d"))
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["0", "thesis"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "1").touch()
    assert folders.remove(tmp_path / "other", re.compile(r"\d"))
    assert not (tmp_path / "other").exists()


def test_what_was_left_before_it_had_its_lock_goes_in_time(tmp_path: Path) -> None:
    for name, age in ((".b.unfinished-1", 3600), (".b.unfinished-2", 0)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    folders.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".b.unfinished-2"]
