"""Files are the old ones or the new ones, whole."""

import ast
import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foodscene.models import files
from foodscene.models.files import DiskFullError, OccupiedError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write(path, b"old")
    path.chmod(0o640)
    with files.writing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640, "who may read it stays"
    assert names(tmp_path) == ["file"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    files.write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def fill(path: Path) -> None:
    with files.writing(path) as file:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("named", [False, True], ids=["without a name", "where every file has a name"])
def test_what_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    if named:
        monkeypatch.setattr(sys, "platform", "darwin")
    path = tmp_path / "file"
    files.write(path, b"old")
    with pytest.raises(DiskFullError, match="nothing was replaced"):
        fill(path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no files without a name")
def test_a_killed_process_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    files.write(tmp_path / "file", b"old")
    program = (
        "import sys, time, pathlib\nfrom foodscene.models import files\n"
        "with files.writing(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); print(flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_where_every_file_has_a_name_a_killed_process_s_goes_with_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    for number, age in ((1, 3600), (2, 0)):
        left = tmp_path / f".foodscene-{number}.unfinished"
        left.touch()
        os.utime(left, (time.time() - age,) * 2)
    files.write(tmp_path / "file", b"new")
    assert names(tmp_path) == [".foodscene-2.unfinished", "file"], "the younger one may have an owner"


def test_only_what_we_made_is_an_output_s_place(tmp_path: Path) -> None:
    files.check_output(tmp_path / "new.html")
    (tmp_path / "ours.html").write_text(f'<meta name="generator" content="{files.MARK}">')
    files.check_output(tmp_path / "ours.html")
    (tmp_path / "theirs.html").write_text("<p>My notes</p>")
    with pytest.raises(OccupiedError, match="foodscene did not make it"):
        files.check_output(tmp_path / "theirs.html")
    with pytest.raises(OccupiedError, match="is a folder"):
        files.check_output(tmp_path)
    with pytest.raises(OccupiedError, match="is a file, so that there can be no folder"):
        files.check_output(tmp_path / "ours.html" / "below.html")


def test_room_is_asked_for_before_the_work(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "not" / "yet", 1000)
    with pytest.raises(OSError, match=r"1000000\.00 GB are needed"):
        files.check_writable(tmp_path / "not" / "yet", 10**15)
    assert names(tmp_path) == []
    files.write_output(tmp_path / "new" / "page.html", b"page")
    assert (tmp_path / "new" / "page.html").read_bytes() == b"page"


def test_nothing_else_deletes_or_replaces() -> None:
    root = Path(files.__file__).parents[1]
    helpers = {"models/files.py", "models/folders.py"}
    own = {"training/locks.py"}  # removes the lock that it made
    found = {
        f"{path.relative_to(root)}: {ast.unparse(call)}"
        for package in ("models", "training", "app")
        for path in (root / package).rglob("*.py")
        if path.relative_to(root).as_posix() not in helpers | own
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and _deletes(call)
    }
    assert not found


def _deletes(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    of_paths = name == "replace" and len(call.args) == 1 and not call.keywords  # a text's takes two
    return of_paths or name in ("unlink", "remove_tree", "rmtree", "rmdir", "removedirs", "rename", "renames", "move")
