from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from foodscene.models.pixels import InputSpec
from foodscene.training.datasets import DatasetError, open_dataset, renamed, union


def test_the_fingerprint_is_that_of_the_content(folder, zipped, tarred, two_classes):
    original = open_dataset(folder(two_classes)).fingerprint
    assert open_dataset(zipped(two_classes)).fingerprint == original
    assert open_dataset(tarred(dict(reversed(two_classes.items())))).fingerprint == original


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree | {"a/new.jpg": tree["a/1.jpg"]},
        lambda tree: {name: content for name, content in tree.items() if name != "a/1.jpg"},
        lambda tree: tree | {"a/1.jpg": tree["a/1.jpg"] + b"\0"},
        lambda tree: tree | {"a/1.jpg": tree["a/2.jpg"], "a/2.jpg": tree["a/1.jpg"]},
        lambda tree: {name.replace("a/1.jpg", "b/11.jpg"): content for name, content in tree.items()},
        lambda tree: {name.replace("b/", "c/"): content for name, content in tree.items()},
        lambda tree: {f"train/{name}": content for name, content in tree.items()},
    ],
    ids=["added", "removed", "changed", "swapped", "relabelled", "class renamed", "split"],
)
def test_any_change_changes_the_fingerprint(zipped, two_classes, change):
    before = open_dataset(zipped(two_classes, "before.zip")).fingerprint
    assert open_dataset(zipped(change(two_classes), "after.zip")).fingerprint != before


def test_a_sample_decodes_itself(folder, two_classes):
    sample = open_dataset(folder(two_classes)).samples[0]
    assert sample.read() == two_classes[sample.name]
    assert sample.pixels(InputSpec(20, 30, 1)).shape == (20, 30, 1)


def test_a_union_has_all_classes_once_and_keeps_the_splits(folder, two_classes):
    first = open_dataset(folder({f"train/{name}": content for name, content in two_classes.items()}, "first"))
    second = open_dataset(
        folder({name.replace("a/", "c/"): content for name, content in two_classes.items()}, "second")
    )
    both = union([first, second])
    assert both.classes == ("a", "b", "c")
    assert both.parts == (20, 20)
    assert len({sample.name for sample in both.samples}) == 40
    for sample, origin in zip(both.samples, [*first.samples, *second.samples], strict=True):
        assert both.classes[sample.label] in sample.name
        assert (sample.split, sample.read()) == (origin.split, origin.read())


def test_a_data_set_as_one_class_can_be_told_from_another(folder, two_classes):
    dataset = open_dataset(folder(two_classes))
    both = union([dataset.as_class("food"), dataset.as_class("scene")])
    assert both.classes == ("food", "scene")
    assert [sample.label for sample in both.samples] == [0] * 20 + [1] * 20


def test_a_name_before_the_path_makes_one_class_of_a_data_set(folder, two_classes):
    path = folder(two_classes)
    named = open_dataset(Path(f"food={path}"))
    assert named.classes == ("food",)
    assert {sample.label for sample in named.samples} == {0}
    assert named.fingerprint != open_dataset(path).fingerprint
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        open_dataset(Path("food=/nowhere"))
    odd = path.rename(path.with_name("a=b"))
    assert open_dataset(odd).classes == ("a", "b")


def test_image_files_of_every_mode_are_samples(tmp_path):
    for number, mode in enumerate(("RGB", "L", "CMYK", "1")):
        (tmp_path / "set" / mode).mkdir(parents=True)
        Image.new(mode, (70, 70), number).save(tmp_path / "set" / mode / "x.tif")
    for sample in open_dataset(tmp_path / "set").samples:
        assert sample.pixels(InputSpec(8, 8)).shape == (8, 8, 3)


def test_classes_are_renamed_by_what_they_are_called_and_others_spelled(folder, photo):
    tree = {f"{name}/{name}.png": photo(n) for n, name in enumerate(("apple_pie", "sprint track", "track outdoor"))}
    dataset = open_dataset(folder(tree))
    names = {"Track_Outdoor": "Running track", "sprint track": "Running track", "absent": "x"}
    found = renamed(dataset, names, spell=True)
    assert found.classes == ("Apple pie", "Running track")
    assert [sample.label for sample in found.samples] == [0, 1, 1]


def test_cropped_data_sets_that_are_united_keep_their_sizes(folder, photo):
    path = folder({"a/1.jpg": photo(1), "b/2.jpg": photo(2), "b/3.jpg": photo(3)}, "one")
    one = open_dataset(path)
    boxed = replace(one, samples=[replace(one.samples[0], boxes=((0, 0, 9, 9), (5, 5, 20, 20))), *one.samples[1:]])
    cropped = union([boxed, replace(one, name="two")]).crops()
    assert len(cropped.samples) == 7
    assert cropped.parts == (4, 3)
    assert one.crops().parts == ()
