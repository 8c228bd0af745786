import gzip
import os
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from foodscene.training import storage
from foodscene.training.datasets import DatasetError, open_dataset
from foodscene.training.datasets.archives import open_files

TREE = {
    "a/1.jpg": b"one",
    "a/2.jpg": b"two" * 1000,
    "b/3.jpg": b"",
    ".DS_Store": b"junk",
    "__MACOSX/a/._1.jpg": b"junk",
}


def everything(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_folder_a_zip_and_every_tar_hold_the_same_files(folder, zipped, tarred):
    paths = [
        folder(TREE),
        zipped(TREE),
        *(tarred(TREE, f"photos.{kind}") for kind in ("tar", "tar.gz", "tar.xz", "tar.bz2")),
    ]
    opened = [open_files(path) for path in paths]
    for files in opened:
        assert list(files.entries) == ["a/1.jpg", "a/2.jpg", "b/3.jpg"]
        assert {name: files.read(name) for name in files.entries} == {name: TREE[name] for name in files.entries}
        assert files.entries == opened[0].entries


def test_a_tar_is_unpacked_once(tarred):
    path = tarred(TREE)
    open_files(path)
    unpacked = {file: file.stat().st_mtime_ns for file in everything(storage.default_root())}
    assert open_files(path).read("a/1.jpg") == b"one"
    assert {file: file.stat().st_mtime_ns for file in everything(storage.default_root())} == unpacked


def hostile_zip(path, name, mode=0):
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.jpg", b"fine")
        archive.writestr(member, b"/etc/passwd")
    return path


def hostile_tar(path, name, kind=tarfile.REGTYPE, target=""):
    with tarfile.open(path, "w:gz") as archive:
        fine = tarfile.TarInfo("a/1.jpg")
        fine.size = 4
        archive.addfile(fine, BytesIO(b"fine"))
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return path


def zeros_zip(path):
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a/1.jpg", "w") as member,
    ):
        for _ in range(1024):
            member.write(bytes(1 << 20))
    return path


def zeros_tar(path):
    member = tarfile.TarInfo("a/1.jpg")
    member.size = 1 << 30
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(member.tobuf())
        for _ in range(1024):
            file.write(bytes(1 << 20))
    return path


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


NOISE = {f"a/{number}.jpg": os.urandom(5000) for number in range(20)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tmp, *_: hostile_zip(tmp / "x.zip", "../../evil.jpg"), "leads out of the archive"),
        (lambda tmp, *_: hostile_zip(tmp / "x.zip", "/evil.jpg"), "leads out of the archive"),
        (lambda tmp, *_: hostile_zip(tmp / "x.zip", "C:\\evil.jpg"), "leads out of the archive"),
        (lambda tmp, *_: hostile_zip(tmp / "x.zip", "a/link.jpg", 0o120777), "link"),
        (lambda tmp, *_: zeros_zip(tmp / "x.zip"), "1.07 GB"),
        (lambda tmp, zipped, _: cut_short(zipped(NOISE)), "damaged or cut short.*again"),
        (lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "../../evil.jpg"), "leads out of the archive"),
        (lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "/evil.jpg"), "leads out of the archive"),
        (lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "a/l.jpg", tarfile.SYMTYPE, "/etc/passwd"), "link"),
        (lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "a/l.jpg", tarfile.LNKTYPE, "a/1.jpg"), "link"),
        (lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "a/pipe.jpg", tarfile.FIFOTYPE), "link or a device"),
        (lambda tmp, *_: zeros_tar(tmp / "x.tar.gz"), "1.07 GB"),
        (lambda tmp, _, tarred: cut_short(tarred(NOISE)), "damaged or cut short.*again"),
        (lambda tmp, _, tarred: cut_short(tarred(NOISE, "x.tar")), "damaged or cut short.*again"),
    ],
)
def test_hostile_archives_are_refused_and_leave_nothing_behind(tmp_path, zipped, tarred, monkeypatch, make, message):
    path = make(tmp_path, zipped, tarred)
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    before = everything(tmp_path)
    with pytest.raises(DatasetError, match=message):
        open_dataset(path)
    assert everything(tmp_path) == before
    assert not list(tmp_path.parent.glob("evil*"))


def test_a_tar_that_unpacks_to_absurd_amounts_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("foodscene.training.datasets.archives.MAX_MEMBER", 1_000_000)
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "cache"))
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        for number in range(20):
            member = tarfile.TarInfo(f"a/{number}.jpg")
            member.size = 900_000
            archive.addfile(member, BytesIO(bytes(member.size)))
    with pytest.raises(DatasetError, match="unpacks to more than"):
        open_dataset(tmp_path / "x.tar.gz")
    assert not everything(tmp_path / "cache")


def test_a_damaged_member_is_told_when_it_is_read(zipped):
    path = zipped(NOISE)
    content = bytearray(path.read_bytes())
    content[content.index(NOISE["a/7.jpg"][:50]) + 100] ^= 255
    path.write_bytes(content)
    files = open_files(path)
    with pytest.raises(DatasetError, match=r"a/7.jpg is damaged"):
        files.read("a/7.jpg")
    assert files.read("a/8.jpg") == NOISE["a/8.jpg"]


def test_what_is_no_archive_says_so(tmp_path):
    (tmp_path / "notes.txt").write_text("photos are elsewhere")
    with pytest.raises(DatasetError, match="neither a folder nor a zip, tar"):
        open_dataset(tmp_path / "notes.txt")
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")


def test_a_full_disk_is_told_before_anything_is_written(tarred, monkeypatch, tmp_path):
    path = tarred(NOISE)
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "cache"))
    usage = type("Usage", (), {"free": 1_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(storage.StorageError, match=r"GB are free.*FOODSCENE_CACHE"):
        open_dataset(path)
    assert not everything(Path(tmp_path / "cache"))
