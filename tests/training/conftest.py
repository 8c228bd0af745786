"""Made-up data sets, as folders and archives."""

import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodscene.models import bundle
from foodscene.models.bundle import Bundle
from foodscene.training.data.load import Data
from foodscene.training.datasets import open_dataset

Tree = dict[str, bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes files given by their relative names to a new folder."""

    def write(tree: Tree, name: str = "photos") -> Path:
        for relative, content in tree.items():
            path = tmp_path / name / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / name

    return write


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[..., Path]:
    """Writes files to a zip."""

    def write(tree: Tree, name: str = "photos.zip") -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for relative, content in tree.items():
                archive.writestr(relative, content)
        return tmp_path / name

    return write


@pytest.fixture
def tarred(tmp_path: Path) -> Callable[..., Path]:
    """Writes files to a tar, compressed as its name says."""

    def write(tree: Tree, name: str = "photos.tar.gz") -> Path:
        kind = name.rpartition(".")[2]
        with tarfile.open(tmp_path / name, "w" if kind == "tar" else f"w:{kind}") as archive:  # type: ignore[call-overload]
            for relative, content in tree.items():
                member = tarfile.TarInfo(relative)
                member.size = len(content)
                archive.addfile(member, BytesIO(content))
        return tmp_path / name

    return write


@pytest.fixture
def drawn() -> Tree:
    """A photo of stripes in several formats: larger than networks take, turned, transparent, deep, in a palette."""
    down, across = np.mgrid[:300, :400]
    stripes = np.stack([down * 255 // 299, across * 255 // 399, (down + across) // 20 % 2 * 255], axis=-1)
    image = Image.fromarray(stripes.astype(np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = image.copy()
    clear.putalpha(Image.fromarray((across * 255 // 399).astype(np.uint8)))
    deep = Image.fromarray((down * 65535 // 299).astype(np.uint16))
    kinds = {
        "a/large.jpg": (image, {"quality": 90}),
        "a/turned.jpg": (image, {"quality": 90, "exif": turned}),
        "a/grey.jpg": (image.convert("L"), {"quality": 90}),
        "a/clear.png": (clear, {}),
        "b/deep.png": (deep, {}),
        "b/palette.gif": (image.quantize(64), {}),
    }
    tree = {}
    for name, (picture, options) in kinds.items():
        target = BytesIO()
        picture.save(target, {"jpg": "JPEG"}.get(name[-3:], name[-3:]), **options)
        tree[name] = target.getvalue()
    return tree


@pytest.fixture
def two_classes(photo: Callable[..., bytes]) -> Tree:
    """Ten photos of each of two classes."""
    return {
        f"{label}/{number}.jpg": photo(100 * seed + number) for seed, label in enumerate("ab") for number in range(10)
    }


@pytest.fixture(scope="session")
def scenes_cnn() -> Bundle:
    """The trained model of the Intel archive that ships."""
    return bundle.read_bundle(bundle.SHIPPED / "scenes-cnn")


@pytest.fixture(scope="session")
def scenes(data: Path, scenes_cnn: Bundle) -> Data:
    """The test photos of the Intel archive, 1,047 of six classes, at the size of `scenes_cnn`."""
    dataset = open_dataset(data / "intel-image-classification.zip")
    samples = [sample for sample in dataset.samples if sample.split == "test"]
    nothing = np.empty(0, np.int64)
    return Data(
        name=dataset.name,
        layout=dataset.layout,
        classes=dataset.classes,
        fingerprint=dataset.fingerprint,
        names=[sample.name for sample in samples],
        pixels=np.stack([sample.pixels(scenes_cnn.spec) for sample in samples]),
        labels=np.array([sample.label for sample in samples]),
        train=nothing,
        validation=nothing,
        test=np.arange(len(samples)),
        groups=np.arange(len(samples)),
        dropped=0,
    )
