"""MNIST and its kin: pictures and labels in IDX files, compressed or not, as Y. LeCun's MNIST page describes them.

Samples are pictures like any other: each is handed out as a BMP file of its own.
"""

import gzip
import re
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foodscene.training.datasets.dataset import Dataset, Sample, Split
from foodscene.training.datasets.files import MAX_MEMBER, DatasetError, FileEntry, Files

NEEDS = "train-images-idx3-ubyte and train-labels-idx1-ubyte, and the same with t10k or test, or their .gz"
_NAME = re.compile(r"(?:.*/)?(train|t10k|test)[-.]images[-.]idx3[-.]ubyte(\.gz)?")
_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


class Pictures(Files):
    """The pictures of IDX files, by names such as ``train/00042.bmp``. All of them are held in memory, as bytes."""

    def __init__(self, path: Path, pictures: dict[Split, NDArray[np.uint8]]) -> None:
        self._pictures = pictures
        entries = {
            _member(split, number): FileEntry(picture.size, zlib.crc32(picture.tobytes()))
            for split, array in pictures.items()
            for number, picture in enumerate(array)
        }
        super().__init__(path, entries, {})

    def of(self, split: Split) -> list[str]:
        """The names of a split's pictures, in their order."""
        return [_member(split, number) for number in range(len(self._pictures[split]))]

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        split, number = name.removesuffix(".bmp").split("/")
        target = BytesIO()
        Image.fromarray(self._pictures[split][int(number)]).save(target, "BMP")  # type: ignore[index]
        return target.getvalue()


def read(files: Files, name: str) -> Dataset | None:
    """The data set in `files`, or None where they are laid out otherwise.

    Classes are ``0`` … ``9``, or the garments where the path has "fashion" in it. Raises `DatasetError` for damaged
    files.
    """
    pictures: dict[Split, NDArray[np.uint8]] = {}
    labels: dict[Split, NDArray[np.uint8]] = {}
    for entry in files.entries:
        match = _NAME.fullmatch(entry)
        if not match:
            continue
        split: Split = "train" if match[1] == "train" else "test"
        # The last of each word: folders may be called "images" too.
        labels_name = "idx1".join("labels".join(entry.rsplit("images", 1)).rsplit("idx3", 1)).removesuffix(".gz")
        beside = [other for other in (labels_name, f"{labels_name}.gz") if other in files.entries]
        if not beside:
            raise DatasetError(f"{files.path}: {entry} has no labels beside it.")
        pictures[split], labels[split] = _array(files, entry, 3), _array(files, beside[0], 1)
        if len(pictures[split]) != len(labels[split]):
            raise DatasetError(
                f"{files.path}: {entry} has {len(pictures[split])} pictures and {len(labels[split])} labels."
            )
    if not pictures:
        return None
    count = max(int(array.max(initial=0)) for array in labels.values()) + 1
    fashion = "fashion" in f"{files.path.resolve()}".lower() and count == 10
    source = Pictures(files.path, pictures)
    samples = [
        Sample(source, member, member, int(label), split)
        for split in sorted(labels, reverse=True)  # training first, as its users know it
        for member, label in zip(source.of(split), labels[split], strict=True)
    ]
    return Dataset(name, "idx", _FASHION if fashion else tuple(str(label) for label in range(count)), samples)


def _member(split: Split, number: int) -> str:
    return f"{split}/{number:05}.bmp"


def _array(files: Files, entry: str, dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file: two zero bytes, 8 for uint8, the number of dimensions, each as a big-endian uint32."""
    content = files.read(entry)
    if content[:2] == b"\x1f\x8b":
        try:
            with gzip.open(BytesIO(content)) as file:
                content = file.read(MAX_MEMBER + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DatasetError(f"{files.path}: {entry} is damaged or cut short: {error}. Download it again.") from error
        if len(content) > MAX_MEMBER:
            raise DatasetError(f"{files.path}: {entry} unpacks to more than {MAX_MEMBER / 1e9:.2f} GB; it is refused.")
    head = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) < head:
        raise DatasetError(f"{files.path}: {entry} is no IDX file of bytes with {dimensions} dimensions.")
    shape = struct.unpack(f">{dimensions}I", content[4:head])
    values = np.frombuffer(content, np.uint8, offset=head)
    if len(values) != int(np.prod(shape, dtype=object)):
        raise DatasetError(f"{files.path}: {entry} announces {shape} values and has {len(values)}: it is cut short.")
    return values.reshape(shape)
