import pytest

from foodscene.training.datasets import DatasetError, open_dataset

ROWS = {"a.jpg": "cat", "b.jpg": "dog", "c.jpg": "cat"}


@pytest.fixture
def photos(photo):
    return {f"images/{name}": photo(number) for number, name in enumerate(ROWS)}


@pytest.mark.parametrize(
    "table",
    [
        "path,label\nimages/a.jpg,cat\nimages/b.jpg,dog\nimages/c.jpg,cat\n",
        "Label;Image_ID\ncat;a\ndog;b\ncat;c\n",
        "\ufeffid\tbreed\r\na\tcat\r\nb\tdog\r\nc\tcat\r\n",
        "a.jpg,cat\nb.jpg,dog\nc.jpg,cat\n",
        "cat,./images/a.jpg\ndog,./images/b.jpg\ncat,./images/c.jpg\n",
        "filename, cat, dog\na.jpg, 1, 0\nb.jpg, 0, 1\nc.jpg, 1, 0\n",
        "sep=;\nBild;Gericht\ra.jpg;cat\rb.jpg;dog\rc.jpg;cat\r",
        "# made by hand\na.jpg cat\nb.jpg dog\nc.jpg cat\n",
        "url,cat,dog\nhttps://x.example/a.jpg?w=200,True,False\nb.jpg,False,True\nc.jpg,True,False\n",
        "number,file,class\n1,C:\\photos\\a.jpg,cat\n2,C:\\photos\\b.jpg,dog\n3,C:\\photos\\c.jpg,cat\n",
    ],
    ids=[
        "path,label",
        "ids; other order",
        "tabs, mark, CRLF",
        "no heading",
        "no heading, labels first",
        "0 and 1",
        "Excel, a heading in other words, CR",
        "spaces, a comment",
        "addresses, True and False",
        "Windows",
    ],
)
def test_labels_by_file(folder, photos, tmp_path, table):
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    dataset = open_dataset(folder(photos), labels=str(tmp_path / "labels.csv"))
    assert (dataset.layout, dataset.classes) == ("csv", ("cat", "dog"))
    assert [(sample.member, dataset.classes[sample.label]) for sample in dataset.samples] == [
        (f"images/{name}", label) for name, label in ROWS.items()
    ]
    assert not dataset.notes


def test_a_table_in_the_archive_with_splits(zipped, photos):
    table = "image,label,split\na.jpg,cat,training\nb.jpg,dog,valid\nc.jpg,cat,test\n"
    dataset = open_dataset(zipped({**photos, "deep/labels.csv": table.encode("utf-16")}), labels="labels.csv")
    assert [sample.split for sample in dataset.samples] == ["train", "validation", "test"]


def test_a_column_that_says_which_photos_validate(folder, photos, tmp_path):
    (tmp_path / "labels.csv").write_text("name,label,is_valid\na.jpg,cat,False\nb.jpg,dog,True\nc.jpg,cat,False\n")
    dataset = open_dataset(folder(photos), labels=str(tmp_path / "labels.csv"))
    assert [sample.split for sample in dataset.samples] == ["train", "validation", "train"]


def test_photos_are_found_as_people_mean_them(folder, photo, tmp_path):
    tree = {"cr\u00e8me/0007.jpg": photo(1), "cr\u00e8me/8.JPG": photo(2), "x/1.jpg": photo(3), "y/1.jpg": photo(4)}
    rows = "7,cat", "cre\u0300me/8.jpeg,dog", "all/x/1.jpg,cat", "1.jpg,dog"
    (tmp_path / "labels.csv").write_text("\n".join(["id,label", *rows]), encoding="utf-8")
    dataset = open_dataset(folder(tree), labels=str(tmp_path / "labels.csv"))
    assert {sample.member: dataset.classes[sample.label] for sample in dataset.samples} == {
        "cr\u00e8me/0007.jpg": "cat",
        "cr\u00e8me/8.JPG": "dog",
        "x/1.jpg": "cat",
    }
    assert any("otherwise than the photos are called: 7, cr\u00e8me/8.jpeg." in note for note in dataset.notes)
    assert any("no such photos, left out: 1.jpg." in note for note in dataset.notes), "there are two"


def test_what_a_table_contradicts_is_left_out_and_told(folder, photos, tmp_path):
    table = "file,label,split\na.jpg,cat,A\nb.jpg,dog,B\nc.jpg,cat,B\nc.jpg,dog,A\na.jpg\n"
    (tmp_path / "labels.csv").write_text(table)
    dataset = open_dataset(folder(photos), labels=str(tmp_path / "labels.csv"))
    assert [sample.member for sample in dataset.samples] == ["images/a.jpg", "images/b.jpg"]
    for told in ("several labels for a photo, left out: images/c.jpg", "lines of one column", "passed over: A, B."):
        assert any(told in note for note in dataset.notes), told


def test_what_a_table_lacks_is_told(folder, photos, photo, tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\na.jpg,cat\nb.jpg,dog\nz.jpg,cat\n")
    dataset = open_dataset(folder(photos), labels=str(tmp_path / "labels.csv"))
    assert any("no such photos, left out: z.jpg" in note for note in dataset.notes)
    assert any("1 photos have no label" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "no CSV with two columns"),
        ("file\na.jpg\nb.jpg\n", "no CSV with two columns"),
        ("file,label\nx.jpg,cat\ny.jpg,dog\n", "none of its lines names a photo"),
        ("file,label\na.jpg,cat\nb.jpg,cat\n", "all of its photos have the label cat"),
        ("file,cat,dog\na.jpg,1,1\nb.jpg,0,1\n", "a photo has one label.*Not so: a.jpg, 1, 1"),
        ("file,date,food\na.jpg,2020-01-01,2\nb.jpg,2020-01-02,3\n", "which column has the labels.*date, food"),
    ],
)
def test_tables_that_cannot_be_used(folder, photos, tmp_path, table, message):
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(DatasetError, match=message):
        open_dataset(folder(photos), labels=str(tmp_path / "labels.csv"))


def test_no_such_table(folder, photos):
    with pytest.raises(DatasetError, match=r"--labels labels.csv: .*none, on the disk or in the data set"):
        open_dataset(folder(photos), labels="labels.csv")
