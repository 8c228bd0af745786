"""The report is one file that holds all it shows."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foodscene.cli import program
from foodscene.training.reports import report
from foodscene.training.runs import legacy, run

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """What a page refers to, which pictures lack a description, and what it says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.undescribed = 0
        self.ids: list[str] = []
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [found[key] or "" for key in ("src", "href") if key in found]
        self.undescribed += tag == "img" and "alt" not in found
        self.ids += [found["id"] or ""] if "id" in found else []

    def handle_data(self, data: str) -> None:
        self.said += data


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(1)
    for split in ("train", "test"):
        for channel, name in enumerate(("red", "green", "blue")):
            folder = tmp_path / "colours" / split / name
            folder.mkdir(parents=True)
            for index in range(5):
                photo = rng.integers(0, 160, (16, 16, 3), dtype=np.uint8)
                photo[..., (channel + (index == 0)) % 3] += 90
                Image.fromarray(photo).save(folder / f"{index}.png")
    return tmp_path / "colours"


@pytest.mark.slow
def test_of_a_bundle(toy_bundle: Path, photos: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", toy_bundle / "colours", "--data", photos, "--out", tmp_path / "out"]
    result = CliRunner().invoke(program, list(map(str, arguments)))
    assert result.exit_code == 0, (result.output, result.exception)
    assert "top-1" in result.output
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert all(address.startswith(("data:", "#")) and address != "#" for address in page.addresses), "no network"
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert page.undescribed == 0
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert f"{figures['top1']['value']:.1%}" in page.said
    assert len(figures["mistakes"]) == 3, "one photo of each class is of another colour"
    assert len(list((tmp_path / "out" / "pictures").glob("mistake-*.jpg"))) == 3
    assert "rotation 45°, shifts 0.1 high and 0.1 wide" in page.said
    assert (tmp_path / "out" / "confusion.csv").read_text().count("\n") == 4


def test_as_json_for_programs(toy_bundle: Path, photos: Path) -> None:
    result = CliRunner().invoke(program, ["evaluate", str(toy_bundle / "colours"), "--data", str(photos), "--json"])
    answer = json.loads(result.stdout)
    assert answer["photos"] == 15
    assert answer["top1"]["value"] == pytest.approx(0.8)
    assert answer["milliseconds"] > 0


def test_a_picture_that_fails_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> str:
        raise ValueError("no such glyph")

    monkeypatch.setattr(report.charts, "histories", fail)
    begun = run.create(tmp_path / "run", {"status": "running", "recipe": {"name": "food/basic"}, "started": run.now()})
    begun.save_history([{"epoch": 1, "loss": 1.0, "val_loss": 1.0, "top1": 0.5, "val_top1": 0.5}])
    result = CliRunner().invoke(program, ["runs", "--runs", str(tmp_path), "report", "run"])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "The history could not be drawn" in result.output
    page = Page((begun.folder / "report.html").read_text())
    assert "" not in page.addresses


def test_of_a_run_that_has_not_been_measured(tmp_path: Path) -> None:
    begun = run.create(tmp_path / "a-run", {"status": "interrupted", "recipe": {"title": "Half <done>"}})
    begun.save_history([{"epoch": 1, "loss": 1.0, "val_loss": 1.5, "top1": 0.4, "val_top1": 0.3}])
    page = report.write(begun.folder).read_text()
    assert "Half &lt;done&gt;" in page
    assert "interrupted" in page
    assert re.search(r'id="history"', page)
    assert 'id="confusions"' not in page


def test_of_an_old_record(tmp_path: Path) -> None:
    old = tmp_path / "cnn3.json"
    old.write_text(json.dumps({"optimizer": "adam", "history": {"loss": [0.9, 0.5]}, "test_acc": 0.919, "info": "<3"}))
    page = report.write(legacy.take_in(old, tmp_path / "runs").folder).read_text()
    assert "91.9%" in page
    assert re.search(r'id="history"', page)
    assert "<3" not in page


@pytest.mark.slow
def test_other_files_in_its_folder_stay(toy_bundle: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "pictures" / "holiday").mkdir(parents=True)
    for name in ("pictures/holiday/1.jpg", "pictures/000.jpg", "notes.txt"):
        (out / name).write_text("mine")
    arguments = ["evaluate", toy_bundle / "colours", "--data", photos, "--split", "all", "--out", out]
    for _ in range(2):
        result = CliRunner().invoke(program, list(map(str, arguments)))
        assert result.exit_code == 0, (result.output, result.exception)
    for name in ("pictures/holiday/1.jpg", "pictures/000.jpg", "notes.txt"):
        assert (out / name).read_text() == "mine"
    assert "bWluZQ" not in (out / "report.html").read_text(), "and it shows only its own pictures"
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "report.html").write_text("mine")
    result = CliRunner().invoke(program, [*map(str, arguments[:-1]), str(tmp_path / "theirs")])
    assert "report.html was not written by foodscene" in str(result.exception)
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["report.html"]
