import gzip
import struct

import numpy as np
import pytest

from foodscene.models.pixels import InputSpec
from foodscene.training.datasets import DatasetError, open_dataset


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


PICTURES = np.random.default_rng(0).integers(0, 256, (6, 5, 7), dtype=np.uint8)
LABELS = np.array([2, 0, 1, 9, 3, 3], dtype=np.uint8)
TREE = {
    "train-images-idx3-ubyte": idx(PICTURES),
    "train-labels-idx1-ubyte": idx(LABELS),
    "t10k-images-idx3-ubyte": idx(PICTURES[:2]),
    "t10k-labels-idx1-ubyte": idx(LABELS[:2]),
}


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("top", ["", "MNIST/raw/", "images/"])
def test_pictures_come_out_as_they_went_in(folder, compressed, top):
    tree = {
        top + name + ".gz" * compressed: gzip.compress(content) if compressed else content
        for name, content in TREE.items()
    }
    dataset = open_dataset(folder(tree))
    assert (dataset.layout, dataset.classes) == ("idx", tuple("0123456789"))
    assert [sample.label for sample in dataset.samples] == [*LABELS, *LABELS[:2]]
    assert [sample.split for sample in dataset.samples] == ["train"] * 6 + ["test"] * 2
    for sample, picture in zip(dataset.samples, [*PICTURES, *PICTURES[:2]], strict=True):
        np.testing.assert_array_equal(sample.pixels(InputSpec(5, 7, 1))[:, :, 0], picture)


def test_fashion_has_the_names_of_its_garments(folder):
    assert open_dataset(folder(TREE, "fashion-mnist")).classes[7] == "Sneaker"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train-images-idx3-ubyte": TREE["train-images-idx3-ubyte"][:-9]}, "cut short"),
        (
            {"train-images-idx3-ubyte": b"\x00\x00\x0d\x03" + TREE["train-images-idx3-ubyte"][4:]},
            "no IDX file of bytes",
        ),
        ({"train-labels-idx1-ubyte": idx(LABELS[:4])}, "6 pictures and 4 labels"),
        ({"train-images-idx3-ubyte": gzip.compress(TREE["train-images-idx3-ubyte"])[:-20]}, "damaged or cut short"),
        ({"train-images-idx3-ubyte": struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31)}, "cut short"),
    ],
)
def test_damaged_files_are_told(folder, change, message):
    with pytest.raises(DatasetError, match=message):
        open_dataset(folder(TREE | change))


def test_missing_labels_are_told(folder):
    with pytest.raises(DatasetError, match="has no labels beside it"):
        open_dataset(folder({name: content for name, content in TREE.items() if "labels" not in name}))


def test_the_real_files(data):
    dataset = open_dataset(data / "mnist")
    assert (dataset.layout, len(dataset.samples)) == ("idx", 70_000)
    assert [sample.label for sample in dataset.samples[:5]] == [5, 0, 4, 1, 9]
    assert dataset.samples[0].pixels(InputSpec(28, 28, 1)).sum() == 27_525
