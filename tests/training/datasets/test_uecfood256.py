import zipfile

import numpy as np
import pytest

from foodscene.models.pixels import InputSpec
from foodscene.training.datasets import DatasetError, open_dataset

NAMES = "id\tname\n1\trice\n2\teels on rice\n10\tpilaf\n"


def tree(photo, names=NAMES, boxes="img x1 y1 x2 y2\n6 1 2 40 50\n6 30 30 60 60\n8 5 5 50 50\n"):
    return {
        "UECFOOD256/category.txt": names.encode(),
        "UECFOOD256/1/bb_info.txt": boxes.encode(),
        **{
            f"UECFOOD256/{category}/{number}.jpg": photo(10 * category + number)
            for category in (1, 2, 10)
            for number in (6, 8, 11)
        },
    }


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        NAMES.replace("\n", "\r\n"),
        NAMES.replace("\n", "\r"),
        NAMES.replace("\t", " "),
        NAMES.replace("\t", "    "),
        NAMES.removeprefix("id\tname\n"),
        "\ufeff" + NAMES,
        "id\tname\n10\tpilaf\n1\trice\n2\teels on rice\n\n",
        '1. rice\n2: "eels on rice"\n10,pilaf\n',
    ],
    ids=[
        "as published",
        "CRLF",
        "CR",
        "space",
        "spaces",
        "no heading",
        "byte order mark",
        "another order",
        "other signs",
    ],
)
def test_ids_are_numbers_however_the_names_are_written(zipped, photo, names):
    dataset = open_dataset(zipped(tree(photo, names)))
    assert dataset.layout == "uecfood256"
    assert dataset.classes == ("rice", "eels on rice", "pilaf")
    assert [sample.label for sample in dataset.samples] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [sample.name for sample in dataset.samples][6:] == [f"UECFOOD256/10/{number}.jpg" for number in (6, 8, 11)]


def test_the_lists_are_found_in_capitals(folder, photo):
    files = {name.replace("category.txt", "CATEGORY.TXT"): content for name, content in tree(photo).items()}
    files["UECFOOD256/1/BB_INFO.TXT"] = files.pop("UECFOOD256/1/bb_info.txt")
    dataset = open_dataset(folder(files))
    assert dataset.classes == ("rice", "eels on rice", "pilaf")
    assert len(dataset.samples[0].boxes) == 2


def test_every_box_is_a_sample_when_cropped(zipped, photo):
    dataset = open_dataset(zipped(tree(photo)))
    assert dataset.samples[0].boxes == ((1, 2, 40, 50), (30, 30, 60, 60))
    crops = dataset.crops()
    assert [sample.name.removeprefix("UECFOOD256/") for sample in crops.samples][:4] == [
        "1/6.jpg#1",
        "1/6.jpg#2",
        "1/8.jpg",
        "1/11.jpg",
    ]
    assert [sample.box for sample in crops.samples][:4] == [(1, 2, 40, 50), (30, 30, 60, 60), (5, 5, 50, 50), None]
    assert crops.fingerprint != dataset.fingerprint
    spec = InputSpec(16, 16)
    assert np.abs(crops.samples[1].pixels(spec).astype(int) - dataset.samples[0].pixels(spec)).mean() > 10


def test_a_category_without_a_name_is_refused(zipped, photo):
    with pytest.raises(DatasetError, match="names no category 10"):
        open_dataset(zipped(tree(photo, "1\trice\n2\teels\n")))


@pytest.mark.parametrize(
    ("names", "boxes", "note"),
    [
        (NAMES + "what is this\n", "", "no id with a name, left out: 'what is this'"),
        (NAMES, "6 1 2 forty 50\n", "No photo with four corners, left out: '6 1 2 forty 50' in"),
        (NAMES, "6 1 2\n", "No photo with four corners, left out: '6 1 2' in"),
        (NAMES, "6 1 2 40 50\n7 1 2 40 50\n", "1 photos have boxes and are not there: UECFOOD256/1/7."),
    ],
)
def test_what_lists_lack_is_told(zipped, photo, names, boxes, note):
    dataset = open_dataset(zipped(tree(photo, names, boxes)))
    assert dataset.classes == ("rice", "eels on rice", "pilaf")
    assert any(note in told for told in dataset.notes)


@pytest.mark.parametrize(
    ("names", "boxes"),
    [
        (NAMES.replace("rice\n", "rice \t \n"), "6 1 2 40 50\n"),
        ("# UECFOOD\n" + NAMES + "# the end\n", "6 1 2 40 50\n"),
        (NAMES, "img x1 y1 x2 y2 of\n6 1 2 40 50 12\n"),
        (NAMES, "6,1,2,40,50\n"),
    ],
    ids=["trailing blanks", "comments", "a fifth number", "commas"],
)
def test_what_does_not_matter_is_not_told(zipped, photo, names, boxes):
    dataset = open_dataset(zipped(tree(photo, names, boxes)))
    assert dataset.classes == ("rice", "eels on rice", "pilaf")
    assert dataset.samples[0].boxes == ((1, 2, 40, 50),)
    assert not dataset.notes


def test_lists_in_utf_16(folder, photo):
    files = tree(photo)
    files["UECFOOD256/category.txt"] = NAMES.encode("utf-16")
    assert open_dataset(folder(files)).classes == ("rice", "eels on rice", "pilaf")


def test_categories_of_one_name_have_their_ids(zipped, photo):
    """As in the real list, where 40 and 67 are "omelet"."""
    names = "id\tname\n1\tomelet\n2\tegg roll\n10\tomelet\n"
    dataset = open_dataset(zipped(tree(photo, names)))
    assert dataset.classes == ("omelet (1)", "egg roll", "omelet (10)")
    assert dataset.notes == ("Categories that share a name have their ids in their labels: omelet (1), omelet (10).",)


def test_photos_of_several_dishes_are_told(zipped, photo):
    files = tree(photo)
    files["UECFOOD256/2/99.jpg"] = files["UECFOOD256/1/6.jpg"]
    assert "1 photos lie in the folders of several categories" in open_dataset(zipped(files)).notes[0]


@pytest.mark.parametrize(
    "change", [lambda text: text, lambda text: text.replace(b"\n", b"\r\n"), lambda text: text.replace(b"\t", b" ")]
)
def test_the_stand_in_and_copies_of_it_load_the_same(data, tmp_path, change):
    with (
        zipfile.ZipFile(data / "uecfood256-layout.zip") as original,
        zipfile.ZipFile(tmp_path / "copy.zip", "w") as copy,
    ):
        for name in original.namelist():
            copy.writestr(name, change(original.read(name)) if name.endswith(".txt") else original.read(name))
    dataset, expected = open_dataset(tmp_path / "copy.zip"), open_dataset(data / "uecfood256-layout.zip")
    ids = list(dict.fromkeys(int(sample.name.split("/")[1]) for sample in dataset.samples))
    assert ids == [1, 2, 3, 9, 10, 11, 12, 100, 101, 256]
    assert dataset.classes[:2] == ("apple pie", "baby back ribs")
    assert dataset.classes[-1] == "breakfast burrito"
    assert dataset.fingerprint == expected.fingerprint
    assert (len(dataset.samples), len(dataset.crops().samples)) == (600, 651)
    assert dataset.crops().fingerprint == expected.crops().fingerprint
