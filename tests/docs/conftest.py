"""A folder in which the documentation's commands run: what they name lies in it, made up."""

import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate import rest
from examples import draw
from foodscene.models.bundle import SHIPPED
from foodscene.training.runs import run

ROOT = Path(__file__).parents[2]
LABELS = ("pizza", "soup", "sushi")


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service."""
    if not shutil.which("curl"):
        if os.environ.get("CI") == "true":
            pytest.fail("curl is missing; in CI the documentation's requests must be made.")
        pytest.skip("curl is missing")
    with rest.served(tmp_path_factory.mktemp("served")) as address:
        yield address


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, archives in the layouts of the real ones, a bundle and a log of runs."""
    folder = tmp_path_factory.mktemp("material")
    photos = _photos(folder / "my-photos", 12)
    for more in ("more-photos", "my-dishes", "my-places", "other-photos"):
        _photos(folder / more, 14)
    (folder / "photos").mkdir()
    for name, photo in zip(("photo.jpg", "one.jpg", "two.jpg"), photos, strict=False):
        shutil.copy(photo, folder / name)
        shutil.copy(photo, folder / "photos" / name)
    (folder / "notes.txt").write_text("This is no photo.\n")
    _zip(folder / "photos.zip", {f"{photo.parent.name}/{photo.name}": photo for photo in photos})
    parts = {
        photo: "seg_test/seg_test" if index % 4 == 0 else "seg_train/seg_train" for index, photo in enumerate(photos)
    }
    intel = {f"{part}/{photo.parent.name}/{photo.name}": photo for photo, part in parts.items()}
    _zip(folder / "intel-image-classification.zip", intel)
    categories = "id\tname\n" + "".join(f"{number}\t{label}\n" for number, label in enumerate(LABELS, start=1))
    (folder / "category.txt").write_text(categories)
    dishes = {f"UECFOOD256/{LABELS.index(photo.parent.name) + 1}/{photo.name}": photo for photo in photos}
    _zip(folder / "UECFOOD256.zip", {"UECFOOD256/category.txt": folder / "category.txt", **dishes})
    _food101(folder, photos)
    own = folder / "my-bundles" / "my-model"
    own.mkdir(parents=True)
    for part in ("model.h5", "labels.txt"):
        shutil.copy(SHIPPED / rest.BUNDLE / part, own / part)
    for number in range(1, 15):
        facts = {
            "status": "finished",
            "recipe": {"name": "food/basic", "optimizer": {}},
            "started": f"{number:02}",
            "best": {},
        }
        figures = {"top1": 0.5 + number / 100, "loss": 1.0}
        made = run.create(folder / "runs" / f"{number:02}-basic", {**facts, "test": figures})
        made.save_history([{"epoch": 1, "loss": 1.0, "top1": 0.5, "val_loss": 1.0, "val_top1": 0.5}])
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


@pytest.fixture
def sandbox(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the material, which is the current folder; `foodscene` is on the path."""
    folder = tmp_path / "sandbox"
    shutil.copytree(material, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return folder


def _photos(folder: Path, count: int) -> list[Path]:
    """Drawn photos of three labels, the labels taking turns."""
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for number in range(count):
            draw.draw(label, number).save(folder / label / f"{number}.jpg")
    return [folder / label / f"{number}.jpg" for number in range(count) for label in LABELS]


def _zip(path: Path, members: dict[str, Path]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in members.items():
            archive.write(file, name)


def _food101(folder: Path, photos: list[Path]) -> None:
    with tarfile.open(folder / "food-101-10.tar.gz", "w:gz") as archive:
        for split, some in (("train", photos[6:]), ("test", photos[:6])):
            listing = folder / f"{split}.txt"
            listing.write_text("".join(f"{photo.parent.name}/{photo.stem}\n" for photo in some))
            archive.add(listing, f"food-101/meta/{split}.txt")
        for photo in photos:
            archive.add(photo, f"food-101/images/{photo.parent.name}/{photo.name}")
