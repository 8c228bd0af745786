import copy
import gzip
import os
import pickle
import tarfile
import tracemalloc
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from foodscene.training import storage
from foodscene.training.data import check
from foodscene.training.datasets import DatasetError, open_dataset
from foodscene.training.datasets.archives import open_files

pytestmark = pytest.mark.slow

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


def header(name, kind, size):
    """A member's header, and nothing of its content."""
    member = tarfile.TarInfo(name.decode())
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


MEGABYTE = gzip.compress(bytes(1 << 20), 9)


def gzipped(path, *parts):
    """A gzip of bytes, and of as many megabytes of zeros as the whole numbers say: 1 KB each."""
    path.write_bytes(b"".join(MEGABYTE * part if isinstance(part, int) else gzip.compress(part) for part in parts))
    return path


PHOTO = header(b"a/1.jpg", tarfile.REGTYPE, 0)


def hidden_tar(path, name):
    """4 GB in a member that is skipped, before a photo."""
    return gzipped(path, header(name, tarfile.REGTYPE, 4096 << 20), 4096, PHOTO)


def long_header_tar(path, kind):
    """What is said of a member, its name or more, has 500 MB."""
    return gzipped(path, header(b"long", kind, 500 << 20), 500, PHOTO)


def chained_headers_tar(path):
    """Headers of headers of headers."""
    record = b"16 comment=abcd\n" + bytes(512 - 16)
    return gzipped(path, (header(b"x", b"x", 16) + record) * 20_000, PHOTO)


def many_records_tar(path, records):
    """Members of each of which a lot is said in little."""
    said = b"6 a=b\n" * records
    member = header(b"x", b"x", len(said)) + said + bytes(-len(said) % 512)
    return gzipped(path, (member + PHOTO) * 200)


def chained_names_tar(path):
    """A name for a name for a name."""
    return gzipped(path, (header(b"x", b"L", 10) + b"a" * 10 + bytes(502)) * 5000, PHOTO)


def chained_empty_names_tar(path):
    """The longest such chain in the fewest bytes."""
    return gzipped(path, header(b"x", b"L", 0) * 5000, PHOTO)


def sparse_map_tar(path):
    """A sparse file's map, in the file itself, which never ends."""
    said = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
    start = header(b"x", b"x", len(said)) + said + bytes(512 - len(said))
    start += header(b"a/1.jpg", tarfile.REGTYPE, 100 << 20)
    return gzipped(path, start, b"99999999\n".ljust(512, b"0") + b"0\n" * (20 << 20))


def overlapping_zip(path):
    """Many members, each of which is the same 200 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a/0.jpg", bytes(200 << 20))
        [one] = archive.infolist()
        for number in range(1, 2000):
            other = copy.copy(one)
            other.filename = f"a/{number}.jpg"
            archive.filelist.append(other)
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
        (lambda tmp, *_: zeros_zip(tmp / "x.zip"), "1.07 GB"),
        (lambda tmp, zipped, _: cut_short(zipped(NOISE)), "damaged or cut short.*again"),
        (lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "../../evil.jpg"), "leads out of the archive"),
        (lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "/evil.jpg"), "leads out of the archive"),
        (lambda tmp, *_: hidden_tar(tmp / "x.tar.gz", b".DS_Store"), "unpacks to more than"),
        (lambda tmp, *_: hidden_tar(tmp / "x.tar.gz", b"a/1.jpg"), "unpacks to more than"),
        (lambda tmp, *_: long_header_tar(tmp / "x.tar.gz", b"x"), "64 KB of a single member"),
        (lambda tmp, *_: long_header_tar(tmp / "x.tar.gz", b"g"), "64 KB of a single member"),
        (lambda tmp, *_: long_header_tar(tmp / "x.tar.gz", b"L"), "64 KB of a single member"),
        (lambda tmp, *_: long_header_tar(tmp / "x.tar.gz", b"K"), "64 KB of a single member"),
        (lambda tmp, *_: chained_headers_tar(tmp / "x.tar.gz"), "64 KB of a single member"),
        (lambda tmp, *_: chained_names_tar(tmp / "x.tar.gz"), "64 KB of a single member"),
        (lambda tmp, *_: chained_empty_names_tar(tmp / "x.tar.gz"), "64 KB of a single member"),
        (lambda tmp, *_: many_records_tar(tmp / "x.tar.gz", 160_000), "64 KB of a single member"),
        (lambda tmp, *_: many_records_tar(tmp / "x.tar.gz", 10_000), "what it says of its members.*give the folder"),
        (lambda tmp, *_: sparse_map_tar(tmp / "x.tar.gz"), "64 KB of a single member"),
        (lambda tmp, *_: overlapping_zip(tmp / "x.zip"), "unpacks to more than"),
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


LARGE = bytes(300_000_000)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda tmp, *_: hostile_zip(tmp / "x.zip", "a/bad.jpg", 0o120777), "link or a device"),
        (lambda tmp, *_: hostile_zip(tmp / "x.zip", "a/bad.jpg", 0o010666), "link or a device"),
        (
            lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "a/bad.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            "link or a device",
        ),
        (lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "a/bad.jpg", tarfile.LNKTYPE, "a/1.jpg"), "link or a device"),
        (lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "a/bad.jpg", tarfile.FIFOTYPE), "link or a device"),
        (lambda tmp, *_: hostile_tar(tmp / "x.tar.gz", "a/bad.jpg", tarfile.CHRTYPE), "link or a device"),
        (lambda tmp, zipped, _: zipped({"a/1.jpg": b"fine", "a/bad.jpg": LARGE}), "0.30 GB"),
        (lambda tmp, _, tarred: tarred({"a/1.jpg": b"fine", "a/bad.jpg": LARGE}), "0.30 GB"),
        (lambda tmp, _, tarred: tarred({"a/bad.jpg": LARGE, "b/1.jpg": b"fine"}, "x.tar"), "0.30 GB"),
    ],
)
def test_one_bad_member_leaves_the_rest_usable(tmp_path, zipped, tarred, monkeypatch, make, reason):
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "cache"))
    path = make(tmp_path, zipped, tarred)
    for _ in range(2):  # from the cache, too
        files = open_files(path)
        assert [files.read(name) for name in files.entries] == [b"fine"]
        assert list(files.left_out) == ["a/bad.jpg"]
        assert reason in files.left_out["a/bad.jpg"]


def test_in_a_folder_too(folder, monkeypatch):
    path = folder({"a/1.jpg": b"fine"})
    with (path / "a" / "film.jpg").open("wb") as file:
        file.truncate(300_000_000)
    os.mkfifo(path / "a" / "pipe.jpg")
    files = open_files(path)
    assert list(files.entries) == ["a/1.jpg"]
    assert "0.30 GB" in files.left_out["a/film.jpg"]


def test_what_is_left_out_is_told(zipped, photo):
    path = zipped({f"{label}/{n}.jpg": photo(n) for label in "ab" for n in range(3)} | {"a/film.avi": LARGE})
    report = check.examine(open_dataset(path))
    [found] = [finding for finding in report.findings if finding.kind is check.LEFT_OUT]
    assert "a/film.avi: it has 0.30 GB" in found.notes[0]


def named(path, names):
    """A zip of members whose names are these bytes, not said to be UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for index, name in enumerate(names):
            archive.writestr(chr(ord("A") + index) * len(name), b"fine")
    content = path.read_bytes()
    for index, name in enumerate(names):
        content = content.replace(chr(ord("A") + index).encode() * len(name), name)
    path.write_bytes(content)
    return path


def test_names_are_read_as_they_were_meant(tmp_path, zipped, tarred):
    """Backslashes of Windows' programs, UTF-8 that is not said to be it, and DOS' own letters."""
    names = {
        "Windows\\crème\\1.jpg".encode(): "Windows/crème/1.jpg",
        "mac/crème brûlée/寿司.jpg".encode(): "mac/crème brûlée/寿司.jpg",
        "dos/crème brûlée/1.jpg".encode("cp437"): "dos/crème brûlée/1.jpg",
        b"./plain/1.jpg": "plain/1.jpg",
        b"empty\\": None,
    }
    files = open_files(named(tmp_path / "x.zip", list(names)))
    assert list(files.entries) == sorted(filter(None, names.values()))
    assert {files.read(name) for name in files.entries} == {b"fine"}
    assert pickle.loads(pickle.dumps(files)).read("Windows/crème/1.jpg") == b"fine"
    said = {"flagged/crème.jpg": b"fine", "a\\b\\寿司.jpg": b"fine"}
    for archive in (zipped(said, "said.zip"), tarred(said)):
        assert list(open_files(archive).entries) == ["a/b/寿司.jpg", "flagged/crème.jpg"]
    for name in (b"..\\evil.jpg", b"C:\\evil.jpg", b"\\evil.jpg"):
        with pytest.raises(DatasetError, match="leads out"):
            open_files(named(tmp_path / "evil.zip", [name]))


def test_a_member_that_lies_about_its_size_takes_no_memory(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.jpg", bytes(300 << 20))
        archive.getinfo("a/1.jpg").file_size = 1000  # says the directory
    files = open_files(tmp_path / "x.zip")
    tracemalloc.start()
    with pytest.raises(DatasetError, match=r"a/1\.jpg is damaged"):
        files.read("a/1.jpg")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10_000_000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_could_only_be_unpacked_at_once_is_left_out(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/1.jpg", b"fine")
        archive.writestr("a/2.jpg", b"fine", method)
    files = open_files(tmp_path / "x.zip")
    assert list(files.entries) == ["a/1.jpg"]
    assert "Unpack the zip" in files.left_out["a/2.jpg"]


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
