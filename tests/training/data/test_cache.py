import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from foodscene.models.pixels import InputSpec
from foodscene.training import storage
from foodscene.training.data import cache
from foodscene.training.datasets import DatasetError, open_dataset

SPEC = InputSpec(24, 32)
DECODED = {
    1: "fc027f90e1ebeba0933026bf57faf0f807e9f1459d2afdcd60626a17b2216640",
    2: "fc027f90e1ebeba0933026bf57faf0f807e9f1459d2afdcd60626a17b2216640",  # profiles are followed, none is drawn
}
"""What the drawn photos decode to, by the cache's version: a new line for each, none is changed."""


def pixels_by_name(built):
    return dict(zip(built.names, built.pixels, strict=True))


def test_rows_are_the_decoded_photos(zipped, two_classes, tmp_path):
    dataset = open_dataset(zipped(two_classes))
    built = cache.build(dataset, SPEC, root=tmp_path / "cache")
    assert (built.pixels.shape, built.pixels.dtype, built.labels.dtype) == ((20, 24, 32, 3), np.uint8, np.int64)
    for row, name, label, pixels in zip(built.rows, built.names, built.labels, built.pixels, strict=True):
        sample = dataset.samples[row]
        assert (sample.name, sample.label) == (name, label)
        np.testing.assert_array_equal(pixels, sample.pixels(SPEC))
    assert isinstance(built.pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        built.pixels[0] = 0


def test_it_is_built_once_per_data_set_size_and_fit(folder, two_classes, tmp_path, monkeypatch, photo):
    path = folder(two_classes)
    first = cache.build(open_dataset(path), SPEC, root=tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_decode", None)  # nothing is decoded again
        again = cache.build(open_dataset(path), SPEC, root=tmp_path / "cache")
    assert again.folder == first.folder
    np.testing.assert_array_equal(again.pixels, first.pixels)
    folders = {first.folder}
    for spec in (InputSpec(32, 24), InputSpec(24, 32, 1), InputSpec(24, 32, 3, "pad")):
        folders.add(cache.build(open_dataset(path), spec, root=tmp_path / "cache").folder)
    (path / "a" / "new.jpg").write_bytes(photo(999))
    changed = cache.build(open_dataset(path), SPEC, root=tmp_path / "cache")
    assert len(changed.names) == 21
    assert len(folders | {changed.folder}) == 5


def test_broken_photos_are_left_out_and_named(folder, two_classes, tmp_path):
    broken = {"a/0.jpg": b"", "a/5.jpg": two_classes["a/5.jpg"][:200], "b/8.jpg": b"text", "b/9.jpg": b"\xff\xd8\xff"}
    built = cache.build(open_dataset(folder(two_classes | broken)), SPEC, root=tmp_path / "cache")
    whole = cache.build(open_dataset(folder(two_classes, "whole")), SPEC, root=tmp_path / "cache")
    assert sorted(photo.name for photo in built.broken) == sorted(broken)
    assert all(photo.reason for photo in built.broken)
    assert sorted(built.names) == sorted(two_classes.keys() - broken.keys())
    expected = pixels_by_name(whole)
    for name, pixels in pixels_by_name(built).items():
        np.testing.assert_array_equal(pixels, expected[name])


def test_nothing_but_broken_photos_is_an_error(folder, tmp_path):
    with pytest.raises(DatasetError, match="no photo that can be decoded, of 2"):
        cache.build(open_dataset(folder({"a/1.jpg": b"", "b/2.jpg": b""})), SPEC, root=tmp_path / "cache")


@pytest.mark.parametrize(
    "index",
    [
        "{",
        "[]",
        "{}",
        '{"rows": ["x"], "broken": []}',
        '{"rows": [0, 99], "broken": []}',
        '{"rows": [-1, 0], "broken": []}',
        '{"rows": [0], "broken": [[1, 2, 3]]}',
        json.dumps({"rows": [0] * 1000, "broken": []}),
    ],
)
def test_a_cache_that_is_damaged_is_told(folder, two_classes, tmp_path, index):
    dataset = open_dataset(folder(two_classes))
    (cache.build(dataset, SPEC, root=tmp_path / "cache", workers=1).folder / "index.json").write_text(index)
    with pytest.raises(storage.StorageError, match=r"is damaged\. Remove it, and they are decoded again"):
        cache.build(dataset, SPEC, root=tmp_path / "cache")


def test_boxes_are_cropped_when_asked(zipped, photo, tmp_path):
    tree = {"category.txt": b"1 rice\n", "1/bb_info.txt": b"6 0 0 30 30\n6 30 30 60 60\n", "1/6.jpg": photo(6)}
    dataset = open_dataset(zipped(tree))
    assert len(cache.build(dataset, SPEC, root=tmp_path / "cache").names) == 1
    crops = cache.build(dataset.crops(), SPEC, root=tmp_path / "cache")
    assert crops.names == ["1/6.jpg#1", "1/6.jpg#2"]
    np.testing.assert_array_equal(crops.pixels[1], dataset.crops().samples[1].pixels(SPEC))


def test_photos_without_a_label_are_there(zipped, photo, tmp_path):
    dataset = open_dataset(zipped({"seg_train/sea/1.jpg": photo(1), "seg_pred/2.jpg": photo(2)}))
    built = cache.build(dataset, SPEC, root=tmp_path / "cache")
    assert dict(zip(built.names, built.labels, strict=True)) == {"seg_train/sea/1.jpg": 0, "seg_pred/2.jpg": -1}


def test_several_processes_make_the_same(folder, photo, tmp_path):
    tree = {f"{label}/{number}.jpg": photo(number) for label in "ab" for number in range(80)} | {"a/3.jpg": b"broken"}
    dataset = open_dataset(folder(tree))
    one = cache.build(dataset, SPEC, root=tmp_path / "one", workers=1)
    two = cache.build(dataset, SPEC, root=tmp_path / "two", workers=2)
    assert (one.names, one.broken) == (two.names, two.broken)
    np.testing.assert_array_equal(one.pixels, two.pixels)


def test_a_full_disk_is_told_and_the_next_start_goes_on(folder, two_classes, tmp_path, monkeypatch):
    dataset = open_dataset(folder(two_classes))
    decoded = []
    write = cache._write

    def until_full(path, content, offset):
        if len(decoded) == 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content, offset)
        if path.name == "state":
            decoded.append(offset)

    monkeypatch.setattr(cache, "_write", until_full)
    with pytest.raises(storage.StorageError, match=r"is full.*goes on where it stopped"):
        cache.build(dataset, SPEC, root=tmp_path / "cache")
    decoded.clear()
    built = cache.build(dataset, SPEC, root=tmp_path / "cache")
    assert decoded == list(range(12, 20))
    np.testing.assert_array_equal(built.pixels, [dataset.samples[row].pixels(SPEC) for row in built.rows])


def test_a_disk_too_small_is_told_before_decoding(folder, two_classes, tmp_path, monkeypatch):
    dataset = open_dataset(folder(two_classes))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(storage.StorageError, match=r"GB are needed in .*GB are free"):
        cache.build(dataset, SPEC, root=tmp_path / "cache")


BUILD = """
import sys, time
from pathlib import Path
from foodscene.models.pixels import InputSpec
from foodscene.training.data import cache
from foodscene.training.datasets import open_dataset
decode = cache._decode
cache._decode = lambda *arguments: time.sleep(0.02) or decode(*arguments)  # slow enough to be killed midway
cache.build(open_dataset(Path(sys.argv[1])), InputSpec(24, 32), root=Path(sys.argv[2]), workers=1)
"""


@pytest.mark.slow
def test_a_killed_build_goes_on_where_it_stopped(folder, photo, tmp_path, monkeypatch):
    photos = [photo(number) for number in range(10)]
    path = folder({f"{label}/{number}.jpg": photos[number % 10] for label in "ab" for number in range(300)})
    run = subprocess.Popen([sys.executable, "-c", BUILD, path, tmp_path / "cache"], cwd=Path(__file__).parents[3])
    done = 0
    for _ in range(3000):
        state = next((tmp_path / "cache").glob("photos-*/state"), None)
        if state and (done := np.fromfile(state, np.uint8).sum()) > 20:
            break
        time.sleep(0.005)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert 20 < done < 600
    decoded = []
    decode = cache._decode
    monkeypatch.setattr(cache, "_decode", lambda *args: decoded.append(args[-2]) or decode(*args))
    dataset = open_dataset(path)
    built = cache.build(dataset, SPEC, root=tmp_path / "cache", workers=1)
    assert 0 < len(decoded) <= 600 - done
    for row in range(0, 600, 50):
        np.testing.assert_array_equal(built.pixels[row], dataset.samples[built.rows[row]].pixels(SPEC))


def test_the_version_is_raised_when_photos_decode_otherwise(folder, drawn, tmp_path):
    digest = hashlib.sha256()
    for number, spec in enumerate(
        [SPEC, InputSpec(24, 32, 3, "crop"), InputSpec(40, 30, 3, "pad"), InputSpec(28, 28, 1)]
    ):
        built = cache.build(open_dataset(folder(drawn)), spec, root=tmp_path / str(number))
        assert built.folder.name.endswith(f"-v{cache.VERSION}")
        for name in sorted(drawn):
            digest.update(pixels_by_name(built)[name].tobytes())
    assert DECODED.get(cache.VERSION) == digest.hexdigest(), (
        "Photos decode to other pixels than when this was written: raise cache.VERSION and add a line to DECODED."
    )
