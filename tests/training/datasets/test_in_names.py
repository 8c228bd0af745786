import pytest

from foodscene.training.datasets import DatasetError, open_dataset


def test_a_label_is_the_name_before_its_number(folder, photo):
    names = ["cat.0.jpg", "cat.12.jpg", "great_pyrenees_3.jpg", "rice (3).png", "rice-004.jpg", "soup1.JPG", "17.jpg"]
    dataset = open_dataset(folder({name: photo(number) for number, name in enumerate(names)}), labels="names")
    assert dataset.layout == "names"
    assert dataset.classes == ("cat", "great_pyrenees", "rice", "soup")
    labels = {sample.name: sample.label for sample in dataset.samples}
    assert labels == {
        "cat.0.jpg": 0,
        "cat.12.jpg": 0,
        "great_pyrenees_3.jpg": 1,
        "rice (3).png": 2,
        "rice-004.jpg": 2,
        "soup1.JPG": 3,
        "17.jpg": None,
    }
    assert dataset.notes == ("1 photos have no label in their names.",)


@pytest.mark.parametrize(
    "name",
    (
        "IMG_cat-3.png 001_cat.jpg 2.cat.jpg cat.-.Copy.(2).jpg cat_9f8a7b6c.jpg cat_1_256x256.jpg cat_1.jpg.jpeg "
        "cat_550e8400-e29b-41d4-a716-446655440000.jpg cat_1.jpg?w=200 cat_2020-01-02_10.20.jpg"
    ).split(),
)
def test_what_cameras_and_programs_put_around_a_label(folder, photo, name):
    dataset = open_dataset(folder({name: photo(1), "n02085620_7.jpg": photo(2)}), labels="names")
    assert dataset.classes == ("cat", "n02085620")


def test_a_label_for_each_photo_is_refused(folder, photo):
    with pytest.raises(DatasetError, match=r"as many as photos: a, b, c, d, e … and 7 more"):
        open_dataset(
            folder({f"{letter}.jpg": photo(number) for number, letter in enumerate("abcdefghijkl")}), labels="names"
        )


def test_folders_called_as_splits_are_splits(folder, photo):
    tree = {
        f"{split}/{label}.{number}.jpg": photo(number)
        for split in ("train", "val")
        for label in "ab"
        for number in (1, 2)
    }
    dataset = open_dataset(folder({**tree, "test1/1.jpg": photo(9)}), labels="names")
    assert dataset.classes == ("a", "b")
    assert {sample.split for sample in dataset.samples if sample.label is not None} == {"train", "validation"}


def test_names_that_tell_nothing_are_refused(folder, photo):
    with pytest.raises(DatasetError, match=r"no two classes apart; found: IMG\. A name is a label and a number"):
        open_dataset(folder({f"IMG_{number}.jpg": photo(number) for number in range(3)}), labels="names")
