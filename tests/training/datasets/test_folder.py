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
@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Training", "validation", "testing"),
        ("training", "validation", "evaluation"),
        ("training_set", "dev_set", "test_set"),
        ("train-images", "valid", "Test"),
        ("TrainData", "ValData", "TestData"),
        ("seg-train", "eval", "seg-test"),
        ("01_train", "02_val", "03_test"),
        ("train_256x256", "val_256x256", "test (1)"),
        ("food_train_small", "food_val_small", "food_test_small"),
    ],
)
def test_split_folders_above_the_classes(zipped, photo, top, names):
    tree = {f"{top}{name}/{label}/1.jpg": photo(ord(label)) for name in names for label in "ab"}
    dataset = open_dataset(zipped(tree))
    assert dataset.classes == ("a", "b")
    assert sorted((sample.split, sample.label) for sample in dataset.samples) == [
        (split, label) for split in ("test", "train", "validation") for label in (0, 1)
    ]
    assert not dataset.notes


@pytest.mark.parametrize("inner", ["{split}/", "images/", ""])
def test_a_folder_between_a_split_and_its_classes(folder, photo, inner):
    tree = {
        f"{split}/{inner.format(split=split)}{label}/1.jpg": photo(1) for split in ("train", "test") for label in "ab"
    }
    dataset = open_dataset(folder(tree))
    assert dataset.classes == ("a", "b")
    assert {sample.split for sample in dataset.samples} == {"train", "test"}


@pytest.mark.parametrize(
    "beside", ["images to predict/1.jpg", "chest/train/a/1.jpg", "unlabelled/1.jpg", "x.jpg", "test/9.jpg"]
)
def test_train_and_test_are_the_split_whatever_lies_beside_them(folder, photo, beside):
    tree = {f"chest/{split}/{label}/1.jpg": photo(1) for split in ("train", "test") for label in "ab"}
    dataset = open_dataset(folder({**tree, f"chest/{beside}": photo(2)}))
    assert dataset.classes == ("a", "b")
    assert [(sample.split, sample.label) for sample in dataset.samples] == [
        ("test", 0),
        ("test", 1),
        ("train", 0),
        ("train", 1),
    ]
    assert "1 photos lie outside of the class folders of test/ and train/" in dataset.notes[0]


def test_splits_within_the_classes(folder, photo):
    tree = {f"{label}/{split}/1.jpg": photo(1) for label in "ab" for split in ("Training", "Validation")}
    dataset = open_dataset(folder({**tree, "b/Test/1.jpg": photo(2)}))
    assert dataset.classes == ("a", "b")
    assert [(sample.label, sample.split) for sample in dataset.samples] == [
        (0, "train"),
        (0, "validation"),
        (1, "test"),
        (1, "train"),
        (1, "validation"),
    ]


def test_photos_beside_the_class_folders_are_told(folder, photo):
    dataset = open_dataset(folder({"a/1.jpg": photo(1), "b/1.jpg": photo(2), "loose.jpg": photo(3)}))
    assert dataset.notes == ("1 photos lie outside of the class folders: left out.",)


def test_classes_that_differ_in_case_alone_are_told(folder, photo):
    dataset = open_dataset(folder({"Fried_Rice/1.jpg": photo(1), "fried rice/2.jpg": photo(2)}))
    assert dataset.classes == ("Fried_Rice", "fried rice")
    assert "Fried_Rice and fried rice are classes of their own" in dataset.notes[0]


def test_a_class_of_trains_is_no_split(folder, photo):
    dataset = open_dataset(folder({f"{label}/1.jpg": photo(1) for label in ("train", "boat", "car")}))
    assert dataset.classes == ("boat", "car", "train")
    assert {sample.split for sample in dataset.samples} == {None}


def test_folders_of_the_same_folders_are_refused(folder, photo):
    tree = {f"{part}/{label}/1.jpg": photo(1) for part in ("monday", "tuesday") for label in ("cat", "dog")}
    tree["monday/bird/1.jpg"] = photo(2)
    with pytest.raises(
        DatasetError, match=r"monday, tuesday all hold the same folders \(bird, cat, dog\).*call them train"
    ):
        open_dataset(folder(tree))


def test_splits_without_class_folders_are_no_classes(folder, photo):
    with pytest.raises(DatasetError, match=r"test1, train are splits.*--labels names"):
        open_dataset(folder({"train/cat.0.jpg": photo(1), "train/dog.0.jpg": photo(2), "test1/1.jpg": photo(3)}))


def test_names_are_compared_as_people_mean_them(folder, photo):
    composed, decomposed = "cr\u00e8me", "cre\u0300me"
    dataset = open_dataset(
        folder(
            {
                f"train/{composed}/1.jpg": photo(1),
                "train/Green Tea/1.jpg": photo(2),
                f"test/{decomposed}/1.jpg": photo(3),
                "test/green_tea/1.jpg": photo(4),
            }
        )
    )
    assert dataset.classes == ("Green Tea", composed)
    assert "green_tea is taken for the class Green Tea." in dataset.notes
    mixed = open_dataset(
        folder({f"{composed}/1.jpg": photo(1), f"{decomposed}/2.jpg": photo(2), "x/1.jpg": photo(3)}, "m")
    )
    assert mixed.classes == (composed, "x")
    assert "they are one class" in mixed.notes[0]


def test_no_class_folders_is_an_error_that_names_the_layouts(folder, photo):
    with pytest.raises(DatasetError) as error:
        open_dataset(folder({"1.jpg": photo(1), "2.jpg": photo(2)}))
    for layout in ("uecfood256", "idx", "food101", "intel", "folder", "--labels"):
        assert layout in str(error.value)


def test_archives_within_are_named(zipped, photo):
    inner = zipped({"a/1.jpg": photo(1), "b/1.jpg": photo(2)}).read_bytes()
    with pytest.raises(DatasetError, match=r"archives in it, which are not looked into: train\.zip\. Unpack them\."):
        open_dataset(zipped({"train.zip": inner, "notes.txt": b""}))


def test_a_layout_by_name(folder, photo):
    path = folder({"seg_train/sea/1.jpg": photo(1), "seg_test/sea/2.jpg": photo(2)})
    assert open_dataset(path).layout == "intel"
    assert open_dataset(path, "folder").layout == "folder"
    with pytest.raises(DatasetError, match="none of the layouts that were looked for:\n  idx: "):
        open_dataset(path, "idx")
    with pytest.raises(DatasetError, match=r"no layout 'coco'\. Known are uecfood256"):
        open_dataset(path, "coco")


def test_photos_side_by_side_are_told_first_what_to_do(folder, two_classes):
    flat = folder({name.replace("/", "-"): photo for name, photo in two_classes.items()})
    with pytest.raises(DatasetError) as error:
        open_dataset(flat)
    said = f"{flat} holds {len(two_classes)} photos side by side: move those of each class to a folder of its own"
    assert str(error.value).startswith(said)
