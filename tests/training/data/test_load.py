import re
from collections import Counter

import numpy as np
import pytest

from foodscene.models.pixels import InputSpec
from foodscene.training.data.load import load, load_for
from foodscene.training.datasets import DatasetError, open_dataset
from foodscene.training.recipes import recipe as recipes

SPEC = InputSpec(16, 16)


@pytest.fixture
def many(photo):
    return {
        f"{label}/{number}.jpg": photo(1000 * seed + number) for seed, label in enumerate("ab") for number in range(60)
    }


def sides(data):
    return {data.names[row]: split for split in ("train", "validation", "test") for row in getattr(data, split)}


def test_every_photo_is_in_one_split(folder, many):
    data = load(folder(many), SPEC)
    assert (data.name, data.layout, data.classes) == ("photos", "folder", ("a", "b"))
    assert data.fingerprint == open_dataset(folder({})).fingerprint
    assert data.pixels.shape == (120, 16, 16, 3)
    assert sorted(np.concatenate([data.train, data.validation, data.test]).tolist()) == list(range(120))
    assert data.train.dtype == data.validation.dtype == data.test.dtype == data.labels.dtype == np.int64
    assert [data.classes[label] for label in data.labels] == [name[0] for name in data.names]
    counts = Counter(sides(data).values())
    assert counts["train"] > counts["validation"] > counts["test"] > 0
    assert data.dropped == 0


def test_ten_added_photos_move_no_other(folder, many, photo):
    path = folder(many)
    before, exact = sides(load(path, SPEC, stratified=False)), sides(load(path, SPEC))
    folder({f"a/new{number}.jpg": photo(5000 + number) for number in range(10)})
    after, exact_after = sides(load(path, SPEC, stratified=False)), sides(load(path, SPEC))
    assert len(after) == len(exact_after) == 130
    assert before.items() <= after.items()
    assert sum(exact_after[name] != side for name, side in exact.items()) <= 6, "of few photos, exact shares move some"


def test_copies_are_dropped_from_the_training_side(zipped, photo, capsys):
    tree = {
        f"{split}/{label}/{number}.jpg": photo(number + 100 * ord(label) + 50 * (split == "test"), 200, 200)
        for split in ("train", "test")
        for label in "ab"
        for number in range(20)
    }
    tree["train/a/exact.jpg"] = tree["test/a/3.jpg"]
    tree["train/b/exact.jpg"] = tree["test/a/4.jpg"]
    tree["train/b/near.jpg"] = photo(5 + 100 * ord("b") + 50, 180, 180, quality=60)
    data = load(zipped(tree), SPEC)
    by_name = sides(data)
    assert by_name.keys() == {name for name in tree if "exact" not in name and "near" not in name}
    assert all((split == "test") == name.startswith("test/") for name, split in by_name.items())
    assert data.dropped == 3
    assert "Dropped 3 photos of which a copy stands in the validation or the test split" in capsys.readouterr().err


def test_broken_photos_and_missing_test_photos_are_told(folder, photo, capsys):
    tree = {
        f"train/{label}/{number}.jpg": photo(number + 100 * ord(label[-1]))
        for label in ("a", "[b]")
        for number in range(20)
    }
    data = load(folder(tree | {"train/a/[bad].jpg": b"no photo", "test/a/1.jpg": photo(9000)}), SPEC)
    told = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert "Left out: train/a/[bad].jpg: This is not an image" in told
    assert "No test photos of 1 of 2 classes: [b]." in told
    assert "train/a/[bad].jpg" not in data.names


def test_photos_without_a_label_are_in_no_split(zipped, photo):
    tree = {
        f"seg_{split}/sea/{number}.jpg": photo(number + 50 * (split == "test"))
        for split in ("train", "test")
        for number in range(20)
    }
    data = load(zipped(tree | {"seg_pred/1.jpg": photo(900)}), SPEC)
    assert "seg_pred/1.jpg" in data.names
    assert "seg_pred/1.jpg" not in sides(data)


def test_several_data_sets_are_one_and_each_keeps_its_split(folder, zipped, photo):
    own = {
        f"{split}/x/{number}.jpg": photo(number + 300 * (split == "test"))
        for split in ("train", "test")
        for number in range(40)
    }
    plain = {f"y/{number}.jpg": photo(number + 7000) for number in range(40)}
    data = load([folder(own, "own"), zipped(plain, "plain.zip")], SPEC)
    assert (data.name, data.layout, data.classes) == ("own+plain", "folder", ("x", "y"))
    united = sides(data)
    alone = {f"own/{name}": split for name, split in sides(load(folder({}, "own"), SPEC)).items()}
    assert alone.items() <= united.items()
    assert Counter(split for name, split in united.items() if name.startswith("plain"))["test"] > 0


def test_a_photo_that_two_archives_have_at_two_sizes_is_in_one_split(tarred, photo):
    places = [f"{dish}/{number}" for dish in ("pho", "ramen") for number in range(30)]
    lists = {"train": places[:50], "test": places[50:]}

    def archive(name, width):
        tree = {f"images/{place}.jpg": photo(seed, width=width) for seed, place in enumerate(places)}
        return tarred(tree | {f"meta/{split}.txt": "\n".join(lists[split]).encode() for split in lists}, name)

    data = load([archive("small.tar", 48), archive("large.tar", 160)], SPEC, fractions=(0.5, 0.5, 0))
    small, large = (
        {data.names[row].partition("/")[2] for row in data.validation if data.names[row].startswith(name)}
        for name in ("small", "large")
    )
    assert small == large
    assert len(small) > 10
    assert data.dropped == 0


def test_boxes_of_one_photo_are_on_one_side(zipped, photo):
    boxes = "\n".join(f"{number} {x} 0 {x + 30} 60" for number in range(60) for x in (0, 40))
    tree = {
        "category.txt": b"1 rice\n",
        "1/bb_info.txt": boxes.encode(),
        **{f"1/{number}.jpg": photo(number) for number in range(60)},
    }
    data = load(zipped(tree), SPEC, crop_boxes=True)
    by_photo = {}
    for name, split in sides(data).items():
        by_photo.setdefault(name.partition("#")[0], []).append(split)
    assert len(by_photo) == 60
    assert all(len(both) == 2 and len(set(both)) == 1 for both in by_photo.values())


def test_a_recipe_says_how_they_are_read(zipped, photo):
    tree = {
        "category.txt": b"1 rice\n",
        "1/bb_info.txt": "\n".join(f"{number} 0 0 30 60" for number in range(60)).encode(),
        **{f"1/{number}.jpg": photo(number) for number in range(60)},
    }
    settings = ["input.size=16", "data.crop_boxes=true", "data.fractions=[0.5, 0.3, 0.2]", "seed=3"]
    settings.append('data.rename={rice = "Boiled rice"}')
    told = load_for(recipes.load("food/basic", settings), zipped(tree))
    same = load(zipped(tree), SPEC, crop_boxes=True, fractions=(0.5, 0.3, 0.2), seed=3)
    assert told.classes == ("Boiled rice",)
    assert told.names == same.names
    assert np.array_equal(told.pixels, same.pixels)
    assert sides(told) == sides(same) != sides(load(zipped(tree), SPEC, crop_boxes=True))


def test_bad_input_is_told(folder, photo):
    with pytest.raises(DatasetError, match="must add up to 1"):
        load(folder({"a/1.jpg": photo(1)}), SPEC, fractions=(0.5, 0.2, 0.1))
    with pytest.raises(DatasetError, match="no photos to train on"):
        load(folder({"train/a/1.jpg": photo(1), "test/a/1.jpg": photo(1)}, "other"), SPEC)


@pytest.mark.nightly
def test_the_real_archives(data):
    spec = InputSpec(8, 8, 1)
    intel = load(data / "intel-image-classification.zip", spec)
    assert (len(intel.test), len(intel.classes)) == (1047, 6)
    assert len(intel.train) + len(intel.validation) + intel.dropped == 8741
    assert 0 < intel.dropped < 40
    assert len(intel.validation) / 8741 == pytest.approx(0.2 / 0.9, abs=0.02)
