"""Photos to be labelled by the toy bundle, and what labels them."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from foodscene.app.bulk.job import Labeller
from foodscene.models.bundle import Bundle, read_bundle


def png(colour: str, size: tuple[int, int] = (20, 10)) -> bytes:
    target = BytesIO()
    Image.new("RGB", size, colour).save(target, "PNG")
    return target.getvalue()


RED, LIME, BLUE = png("red"), png("lime"), png("blue")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which the test works in, so that paths are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(place: Path) -> Callable[[Mapping[str, bytes]], None]:
    """Writes files by name."""

    def into(files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)

    return into


def zipped(files: Mapping[str, bytes]) -> bytes:
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    target = BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


@pytest.fixture(scope="session")
def bundle(toy_bundle: Path) -> Bundle:
    return read_bundle(toy_bundle / "colours")


@pytest.fixture(scope="session")
def labeller(bundle: Bundle) -> Labeller:
    return Labeller(bundle, 2, threads=2)
