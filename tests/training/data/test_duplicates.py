from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from foodscene.models.pixels import InputSpec, read_photo
from foodscene.training.data import duplicates


def view(photo):
    return duplicates.view(read_photo(photo, InputSpec(duplicates.SIDE, duplicates.SIDE, 1))[:, :, 0])


def distance(first, second):
    return int(np.unpackbits(np.frombuffer(first, np.uint8) ^ np.frombuffer(second, np.uint8)).sum())


def saved(image, **options):
    target = BytesIO()
    image.save(target, "JPEG", **options)
    return target.getvalue()


CHANGES = {
    "saved again": lambda image: saved(image, quality=30),
    "scaled": lambda image: saved(image.resize((90, 70))),
    "brightened": lambda image: saved(ImageEnhance.Brightness(image).enhance(1.15)),
    "gray": lambda image: saved(image.convert("L")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_photos_are_near_copies(photo, change):
    for seed in range(5):
        original = photo(seed, width=300, height=220)
        assert distance(view(original), view(change(Image.open(BytesIO(original))))) <= duplicates.NEAR


def test_different_photos_are_not(photo):
    views = [view(photo(seed)) for seed in range(40)]
    assert len(duplicates.near_pairs(views)) == 0


def test_pictures_of_one_colour_have_no_view():
    assert duplicates.view(np.full((32, 32), 200, np.uint8)) == b""
    assert duplicates.groups([b"1", b"2"], [b"", b""]).tolist() == [0, 1]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5000), st.integers(0, 60))
def test_near_pairs_are_all_the_pairs_and_no_others(seed, total, near):
    random = np.random.default_rng(seed)
    views = [random.bytes(32) if random.random() < 0.9 else b"" for _ in range(min(total, 60))]
    for index in range(0, len(views) - 1, 3):  # some near ones
        if views[index]:
            bits = np.unpackbits(np.frombuffer(views[index], np.uint8))
            bits[random.choice(256, random.integers(0, 60), replace=False)] ^= 1
            views[index + 1] = np.packbits(bits).tobytes()
    expected = {
        (i, j)
        for i in range(len(views))
        for j in range(i + 1, len(views))
        if views[i] and views[j] and distance(views[i], views[j]) <= near
    }
    assert {tuple(pair) for pair in duplicates.near_pairs(views, near).tolist()} == expected


def test_pairs_are_found_across_blocks(monkeypatch):
    monkeypatch.setattr(duplicates, "_BLOCK", 4)
    random = np.random.default_rng(0)
    views = [random.bytes(32) for _ in range(11)]
    views[9] = views[1]
    views[3] = views[2]
    assert sorted(duplicates.near_pairs(views).tolist()) == [[1, 9], [2, 3]]


def test_groups_are_chains_of_copies():
    far = np.random.default_rng(1).bytes(32)
    near = bytes([far[0] ^ 255, far[1] ^ 255, *far[2:]])
    nearer = bytes([far[0] ^ 255, *far[1:]])
    groups = duplicates.groups([b"x", b"y", b"x", b"z", b"w"], [far, b"", b"", nearer, near]).tolist()
    assert groups[0] == groups[2] == groups[3] == groups[4] != groups[1]
