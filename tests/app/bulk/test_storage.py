"""Photos in buckets and on web servers."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foodscene.app.bulk import job, photos, storage
from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.job import label, write_table
from foodscene.app.bulk.photos import Photo, Reader
from foodscene.app.bulk.plan import Item, plan
from foodscene.app.bulk.storage import storage_of
from tests.app.bulk.conftest import BLUE, LIME, RED, tarred, zipped


def read(*paths: str) -> list[Photo]:
    return [photo for chunk in Reader(list(plan(paths)), sources=paths).chunks() for photo in chunk]


def test_a_protocol_that_nobody_reads_is_told() -> None:
    pytest.importorskip("fsspec", reason="needs the extra bulk")
    with pytest.raises(BulkError, match="nonsense:// is no protocol"):
        storage_of("nonsense://a/b")


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self, protocol: str) -> None:
        raise ImportError("Install s3fs to access S3")

    storage._remote.cache_clear()
    monkeypatch.setattr(storage.Remote, "__init__", missing)
    with pytest.raises(BulkError, match=r'pip install "foodscene\[bulk\]"'):
        storage_of("s3://a/b")
    storage._remote.cache_clear()


def test_a_disk_that_cannot_be_read_ends_the_job(write, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"a.jpg": RED})

    def read_badly(path: Path, most: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(storage.files, "read", read_badly)
    with pytest.raises(BulkError, match=r"a\.jpg cannot be read: Input/output error"):
        read("a.jpg")


@pytest.fixture
def web(place: Path) -> Iterator[str]:
    """The address of a server of the test's folder, whose answers to `/forbidden.png` and `/late.png` are its own."""
    pytest.importorskip("aiohttp", reason="needs the extra bulk")
    pytest.importorskip("fsspec", reason="needs the extra bulk")
    asked: dict[str, int] = {}

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked[self.path] = asked.get(self.path, 0) + 1
            if self.path == "/forbidden.png":
                self.send_error(403)
            elif self.path == "/down.png" or (self.path == "/late.png" and asked[self.path] < 2):
                self.send_error(503)
            else:
                super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(place)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_PAUSE", 0.01)


def test_a_web_server_s_lists_folders_and_archives_are_read(write, web: str) -> None:
    write(
        {
            "set/a.png": RED,
            "set/in/b.png": LIME,
            "set/notes.txt": b"a.png\nin/b.png\n",
            "c.zip": zipped({"c.jpg": BLUE}),
        }
    )
    write({"d.tar.gz": tarred({"d.jpg": BLUE}, "w:gz")})
    both = [(f"{web}/set/a.png", RED), (f"{web}/set/in/b.png", LIME)]
    assert [photo[:2] for photo in read(f"{web}/set/")] == both
    assert [photo[:2] for photo in read(f"{web}/set/notes.txt")] == both
    assert [photo.content for photo in read(f"{web}/d.tar.gz", f"{web}/set/a.png?size=2")] == [BLUE, RED]


def test_what_a_web_server_refuses_is_a_row_and_what_it_has_not_got_at_the_moment_is_asked_for_again(
    write, web: str
) -> None:
    write({"a.png": RED, "late.png": LIME, "list.txt": b"a.png\nforbidden.png\ngone.png\nlate.png\n"})
    first, forbidden, gone, late = read(f"{web}/list.txt")
    assert (first.content, late.content) == (RED, LIME)
    assert "403" in str(forbidden.content)
    assert "No such file" in str(gone.content)


def test_a_web_server_that_is_down_ends_the_job(write, web: str) -> None:
    write({"list.txt": b"down.png\n"})
    with pytest.raises(BulkError, match=r"down\.png cannot be read: .*503"):
        read(f"{web}/list.txt")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of a server that speaks as S3 does."""
    for package in ("fsspec", "s3fs"):
        pytest.importorskip(package, reason="needs the extra bulk")
    servers = pytest.importorskip("moto.server", reason="needs moto and flask-cors, of the extra dev")
    server = servers.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """fsspec's file system with the empty bucket `photos`."""
    import fsspec

    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    storage._remote.cache_clear()
    files = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    files.mkdir("photos")
    yield files
    if files.exists("photos"):
        files.rm("photos", recursive=True)
    storage._remote.cache_clear()


def fill(bucket: Any, files: dict[str, bytes]) -> None:
    bucket.pipe({f"photos/{name}": content for name, content in files.items()})


def test_a_bucket_s_folders_patterns_lists_and_archives_are_read(bucket: Any) -> None:
    fill(
        bucket,
        {
            "set/": b"",
            "set/a.png": RED,
            "set/in/b[1].png": LIME,
            "set/shard.tar": tarred({"c.jpg": BLUE}),
            "set/z.zip": zipped({"d.jpg": RED, "e/f.jpg": LIME}),
            "list.csv": b"path,label\nset/a.png,x\ns3://photos/set/in/b[1].png,y\n",
        },
    )
    assert [photo[:2] for photo in read("s3://photos/set")] == [
        ("s3://photos/set/a.png", RED),
        ("s3://photos/set/in/b[1].png", LIME),
        ("s3://photos/set/shard.tar/c.jpg", BLUE),
        ("s3://photos/set/z.zip/d.jpg", RED),
        ("s3://photos/set/z.zip/e/f.jpg", LIME),
    ]
    assert [photo.content for photo in read("s3://photos/list.csv")] == [RED, LIME]
    assert [photo.content for photo in read("s3://photos/set/*.png", "s3://photos/set/z.zip/e")] == [RED, LIME]


@pytest.mark.parametrize("path", ["s3://absent/set", "s3://photos/absent"])
def test_a_bucket_or_folder_that_is_not_there_is_told(bucket: Any, path: str) -> None:
    with pytest.raises(BulkError, match=f"{path} is not there"):
        read(path)


def test_an_object_that_is_gone_is_a_row_and_a_bucket_that_is_gone_ends_the_job(
    bucket: Any, place: Path, bundle, labeller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_UNDER_WAY", 16)
    monkeypatch.setattr(photos, "_PHOTOS", 8)
    fill(bucket, {f"set/{number:02}.png": RED for number in range(60)})
    write_table(labeller, bundle, ["s3://photos/set/0*"], place / "ten.csv")
    assert len((place / "ten.csv").read_text().splitlines()) == 11
    rows: list[dict[str, Any]] = []

    def show(row: dict[str, Any]) -> None:
        rows.append(row)
        if len(rows) == 1:
            bucket.rm("photos/set/59.png")

    label(labeller, ["s3://photos/set"], show)
    assert [row["error"] for row in rows[:-1]] == [None] * 59
    assert "No such file" in rows[-1]["error"]

    def vanish(row: dict[str, Any]) -> None:
        if not rows:
            bucket.rm("photos", recursive=True)
        rows.append(row)

    rows.clear()
    with pytest.raises(BulkError, match="bucket does not exist"):
        label(labeller, ["s3://photos/set"], vanish)
    assert 0 < len(rows) < 59
    assert all(row["label"] == "red" for row in rows)


def test_a_bucket_that_refuses_ends_the_job(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = storage_of("s3://photos")

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError("Access Denied")

    async def refuse_content(*_: Any, **__: Any) -> Any:
        refuse()

    monkeypatch.setattr(remote._fs, "_cat_file", refuse_content)  # type: ignore[attr-defined]
    monkeypatch.setattr(remote._fs, "ls", refuse)  # type: ignore[attr-defined]
    with pytest.raises(BulkError, match="Access Denied"):
        list(Reader([Item("file", "s3://photos/a.png")]).chunks())
    with pytest.raises(BulkError, match="s3://photos cannot be read: Access Denied"):
        remote.entries("s3://photos")
