"""Made-up data sets, as folders and archives."""

import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

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
def two_classes(photo: Callable[..., bytes]) -> Tree:
    """Ten photos of each of two classes."""
    return {
        f"{label}/{number}.jpg": photo(100 * seed + number) for seed, label in enumerate("ab") for number in range(10)
    }
