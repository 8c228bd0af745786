import pytest

from foodscene.training.datasets import DatasetError, open_dataset


def test_folders_are_classes_whatever_lies_below(folder, photo):
    dataset = open_dataset(
        folder({"cat/1.jpg": photo(1), "dog/deep/2.PNG": photo(2), "dog/notes.txt": b"", "x.jpg": b""})
    )
    assert (dataset.layout, dataset.classes) == ("folder", ("cat", "dog"))
    assert [(sample.name, sample.label) for sample in dataset.samples] == [("cat/1.jpg", 0), ("dog/deep/2.PNG", 1)]


def test_numbers_are_in_numeric_order(folder, photo):
    dataset = open_dataset(folder({f"{number}/1.jpg": photo(number) for number in (10, 9, 2, 100)}))
    assert dataset.classes == ("2", "9", "10", "100")
    assert all(sample.name.startswith(f"{dataset.classes[sample.label]}/") for sample in dataset.samples)


@pytest.mark.parametrize("top", ["", "my-set/", "my-set/images/"])
@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "validation", "testing")])
def test_split_folders_above_the_classes(zipped, photo, top, names):
    tree = {f"{top}{name}/{label}/1.jpg": photo(ord(label)) for name in names for label in "ab"}
    dataset = open_dataset(zipped(tree))
    assert dataset.classes == ("a", "b")
    assert sorted((sample.split, sample.label) for sample in dataset.samples) == [
        (split, label) for split in ("test", "train", "validation") for label in (0, 1)
    ]


def test_no_class_folders_is_an_error_that_names_the_layouts(folder, photo):
    with pytest.raises(DatasetError) as error:
        open_dataset(folder({"1.jpg": photo(1), "2.jpg": photo(2)}))
    for layout in ("uecfood256", "idx", "food101", "intel", "folder"):
        assert f"{layout}: " in str(error.value)


def test_a_layout_by_name(folder, photo):
    path = folder({"seg_train/sea/1.jpg": photo(1), "seg_test/sea/2.jpg": photo(2)})
    assert open_dataset(path).layout == "intel"
    assert open_dataset(path, "folder").classes == ("seg_test", "seg_train")
    with pytest.raises(DatasetError, match="none of the layouts that were looked for:\n  idx: "):
        open_dataset(path, "idx")
    with pytest.raises(DatasetError, match=r"no layout 'coco'\. Known are uecfood256"):
        open_dataset(path, "coco")
