import errno

import pytest

from training import storage


def test_the_environment_says_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path))
    assert storage.default_root() == tmp_path
    monkeypatch.delenv("FOODSCENE_CACHE")
    assert storage.default_root().parts[-2:] == (".cache", "foodscene")


def test_clearing_deletes_what_is_ours_and_nothing_else(tmp_path):
    (tmp_path / "photos-a").mkdir()
    (tmp_path / "photos-a" / "pixels").write_bytes(bytes(10_000))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "notes.txt").touch()
    [entry] = storage.entries(tmp_path)
    assert entry.path.name == "photos-a"
    assert entry.size >= 10_000
    assert storage.clear(tmp_path) == [entry]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "thesis"]
    assert storage.clear(tmp_path / "nowhere") == []


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with storage.writing(tmp_path / "a" / "whole") as folder:
        (folder / "file").write_text("content")
        assert not (tmp_path / "a" / "whole").exists()
    assert (tmp_path / "a" / "whole" / "file").read_text() == "content"
    with pytest.raises(FileNotFoundError), storage.writing(tmp_path / "a" / "broken") as folder:
        (folder / "file").write_bytes((tmp_path / "nowhere").read_bytes())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["whole"]


def test_a_full_disk_says_what_to_do(tmp_path):
    with (
        pytest.raises(storage.StorageError, match=r"is full.*foodscene data cache clear"),
        storage.writing(tmp_path / "a"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(storage.StorageError, match=r"1000000\.00 GB are needed"):
        storage.ensure_space(tmp_path, 10**15)


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(storage.StorageError, match="Set FOODSCENE_CACHE to a folder that can"):
        storage.ensure_space(tmp_path / "file" / "below", 0)
