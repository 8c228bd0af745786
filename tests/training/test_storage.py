import errno

import pytest

from foodscene.training import locks, storage


def test_the_environment_says_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path))
    assert storage.default_root() == tmp_path
    monkeypatch.delenv("FOODSCENE_CACHE")
    assert storage.default_root().parts[-2:] == (".cache", "foodscene")


PHOTOS = "photos-dishes-0123456789ab-64x64x3-squash-1"


def test_clearing_deletes_what_is_ours_and_nothing_else(tmp_path):
    (tmp_path / PHOTOS).mkdir()
    (tmp_path / PHOTOS / "pixels").write_bytes(bytes(10_000))
    (tmp_path / "folders").mkdir()
    (tmp_path / "folders" / "0123456789abcdef.json").touch()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "notes.txt").touch()
    _, entry = storage.entries(tmp_path)
    assert entry.path.name == PHOTOS
    assert entry.size >= 10_000
    assert [one.path.name for one in storage.clear(tmp_path)] == ["folders", PHOTOS]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "thesis"]
    assert storage.clear(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["photos-holiday", "survey-2026", "archive-mails", "folders", PHOTOS])
def test_somebody_s_folder_with_a_name_like_ours_is_theirs(tmp_path, name):
    (tmp_path / name / "holiday").mkdir(parents=True)
    (tmp_path / name / "1.jpg").touch()
    assert storage.clear(tmp_path) == []
    assert (tmp_path / name / "1.jpg").exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with storage.adding(tmp_path / "a" / "whole") as folder:
        (folder / "file").write_text("content")
        assert not (tmp_path / "a" / "whole").exists()
    assert (tmp_path / "a" / "whole" / "file").read_text() == "content"
    with pytest.raises(FileNotFoundError), storage.adding(tmp_path / "a" / "broken") as folder:
        (folder / "file").write_bytes((tmp_path / "nowhere").read_bytes())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["whole"]


def test_a_full_disk_says_what_to_do(tmp_path):
    with (
        pytest.raises(storage.StorageError, match=r"is full.*foodscene data cache clear"),
        storage.adding(tmp_path / "a"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(storage.StorageError, match=r"1000000\.00 GB are needed"):
        storage.ensure_space(tmp_path, 10**15)


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(storage.StorageError, match="Set FOODSCENE_CACHE to a folder that can"):
        storage.ensure_space(tmp_path / "file" / "below", 0)


def test_what_somebody_is_making_is_not_cleared(tmp_path):
    (tmp_path / f"{PHOTOS}.unfinished").mkdir()
    (tmp_path / f"{PHOTOS}.unfinished" / "pixels").touch()
    with locks.held(storage.lock_of(tmp_path / PHOTOS)):
        assert storage.clear(tmp_path) == []
    assert [entry.path.name for entry in storage.clear(tmp_path)] == [f"{PHOTOS}.unfinished"]


def test_what_a_killed_process_left_is_cleared(tmp_path):
    (tmp_path / ".archive-photos-0123456789abcdef.unfinished-x").mkdir()
    (tmp_path / ".archive-photos-0123456789abcdef.unfinished-x" / "foodscene.lock").touch()
    storage.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []
