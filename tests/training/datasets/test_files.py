import os

from foodscene.training.datasets.files import FolderFiles, decoded


def test_a_changed_file_changes_its_checksum_even_at_the_same_size_and_moment(folder):
    path = folder({"a/1.jpg": b"one"})
    before = FolderFiles(path).entries["a/1.jpg"]
    (path / "a/1.jpg").write_bytes(b"two")
    assert FolderFiles(path).entries["a/1.jpg"] != before


def test_what_did_not_change_is_not_read_again(folder, monkeypatch):
    path = folder({"a/1.jpg": b"one", "a/2.jpg": b"two"})
    for name in ("1", "2"):
        os.utime(path / f"a/{name}.jpg", (1_600_000_000, 1_600_000_000))
    entries = FolderFiles(path).entries
    monkeypatch.setattr("foodscene.training.datasets.files._crc", lambda _: 0)
    assert FolderFiles(path).entries == entries


def test_linked_folders_are_followed_once(folder):
    path = folder({"a/1.jpg": b"one"})
    (path / "loop").symlink_to(path)
    elsewhere = folder({"2.jpg": b"two"}, "elsewhere")
    (path / "b").symlink_to(elsewhere)
    assert list(FolderFiles(path).entries) == ["a/1.jpg", "b/2.jpg"]


def test_text_is_read_however_it_is_encoded(folder):
    path = folder({"a.txt": "\ufeffrisotto à la".encode(), "b.txt": "crème brûlée".encode("latin-1")})
    assert FolderFiles(path).text("a.txt") == "risotto à la"
    assert FolderFiles(path).text("b.txt") == "crème brûlée"
    japanese = "1\tご飯\n2\tうな重\n"
    for encoding in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "shift-jis"):
        assert decoded(japanese.encode(encoding)) == japanese, encoding
    assert decoded("thé … café".encode("cp1252")) == "thé … café"
