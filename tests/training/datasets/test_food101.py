import pytest

from foodscene.training.datasets import open_dataset


def test_its_own_lists_are_the_split(tarred, photo):
    dataset = open_dataset(
        tarred(
            {
                "food-101/images/ramen/1.jpg": photo(1),
                "food-101/images/ramen/2.jpg": photo(2),
                "food-101/images/gyoza/3.jpg": photo(3),
                "food-101/images/gyoza/4.jpg": photo(4),
                "food-101/meta/train.txt": b"ramen/1\r\ngyoza/3\r\n",
                "food-101/meta/test.txt": b"ramen/2\n",
            }
        )
    )
    assert (dataset.layout, dataset.classes) == ("food101", ("gyoza", "ramen"))
    found = {sample.name[-5]: (sample.label, sample.split) for sample in dataset.samples}
    assert found == {"1": (1, "train"), "2": (1, "test"), "3": (0, "train")}


@pytest.mark.parametrize("line", ["{}.JPG", "images/{}.jpg", "/{}", "food-101\\images\\{}.jpg"])
def test_lists_as_copies_of_it_have_them(folder, photo, line):
    lists = {"TRAIN": ["ramen/1", "gyoza/3"], "TEST": ["ramen/2", "gyoza/99"]}
    tree = {f"images/{name}.jpg": photo(number) for number, name in enumerate(["ramen/1", "ramen/2", "gyoza/3"])}
    tree |= {
        f"Meta/{split}.txt": "\r\n".join(line.format(name) for name in names).encode() for split, names in lists.items()
    }
    dataset = open_dataset(folder(tree))
    assert dataset.layout == "food101"
    assert [sample.split for sample in dataset.samples] == ["train", "train", "test"]
    assert dataset.notes == ("1 photos are listed and not there: gyoza/99.",)


def test_the_real_archive(data):
    dataset = open_dataset(data / "food-101-10.tar.gz")
    assert (dataset.layout, len(dataset.classes)) == ("food101", 10)
    splits = [sample.split for sample in dataset.samples]
    assert (splits.count("train"), splits.count("test"), len(splits)) == (3750, 625, 4375)
