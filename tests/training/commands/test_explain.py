"""The command `explain`."""

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from foodscene.cli import program
from foodscene.models import bundle


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (300, 200), (200, 60, 40)).save(path)
    return path


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(program, ["explain", *map(str, arguments)])
    return result.exit_code, f"{result.output}{result.exception or ''}"


def test_pictures_of_what_the_shipped_model_sees(photo_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said = call(photo_file, "--model", "scenes-cnn", "--label", "sea", "--out", out)
    assert code == 0, said
    assert "what speaks for sea is bright" in said
    spec = bundle.read_bundle(bundle.SHIPPED / "scenes-cnn").spec
    width, height = Image.open(out / "decided.png").size
    assert width == 2 * height >= 2 * spec.height * 2, "the photo beside itself, larger than the network sees it"
    assert {path.stem for path in out.iterdir()} >= {"decided", "filters", "maps-0", "maps-4"}


def test_what_cannot_be_explained_leaves_nothing_behind(photo_file: Path, toy_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said = call(photo_file, "--model", "scenes-cnn", "--label", "soup", "--out", out)
    assert code == 2
    assert "scenes-cnn knows buildings" in said
    code, said = call(photo_file, "--model", "colours", "--models", toy_bundle, "--out", out)
    assert code == 1
    assert "no convolutions" in said
    assert not out.exists()
