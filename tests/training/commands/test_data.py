import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from foodscene.training.commands.data import data as program


def run(*arguments):
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


@pytest.fixture
def good(folder, photo):
    return folder(
        {f"{label}/{number}.jpg": photo(number + 1000 * ord(label)) for label in "ab" for number in range(60)}
    )


def test_check_exits_with_0_where_nothing_is_wrong(good):
    result = run("check", good, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["photos"], found["wrong"], [count["label"] for count in found["classes"]]) == (120, False, ["a", "b"])


def test_check_exits_with_1_where_something_is(good, tmp_path):
    (good / "a" / "broken.jpg").write_bytes(b"no photo")
    result = run("check", good, "--report", tmp_path / "report.html")
    assert result.exit_code == 1
    assert "photos that cannot be decoded" in result.stdout
    assert "photos that cannot be decoded" in (tmp_path / "report.html").read_text()


def test_show_draws_a_sheet(good, tmp_path):
    assert run("show", good, "--per-class", 4, "--output", tmp_path / "sheet.png").exit_code == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * 96


def test_cache_lists_and_clears(good, tmp_path, monkeypatch):
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "cache"))
    run("check", good)
    assert "survey-photos-" in run("cache").stdout
    assert "survey-photos-" in run("cache", "clear").stdout
    assert "survey-photos-" not in run("cache", "list").stdout
