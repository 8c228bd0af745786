"""The command `predict`, on a few photos and on many."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foodscene.cli import program
from foodscene.models.files import OccupiedError
from tests.app.conftest import picture


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two photos and a text, in the folder that the test works in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(picture("red"))
    (tmp_path / "set" / "b.png").write_bytes(b"no photo")
    (tmp_path / "set" / "c.png").write_bytes(picture("blue"))
    return tmp_path / "set"


@pytest.fixture
def predict(toy_bundle: Path, photos: Path) -> Callable[..., tuple[int, str]]:
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(program, ["predict", *arguments, "--models", str(toy_bundle)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


def test_a_folder_is_a_table_on_the_terminal(predict) -> None:
    code, output = predict("set")
    assert code == 0
    first, bad, last = output.splitlines()
    assert first.startswith("set/a.png  red  9")
    assert bad.startswith("set/b.png  This is not an image")
    assert last.startswith("set/c.png  blue  9")


def test_a_folder_s_photos_are_printed_for_programs_as_one_photo_is(predict) -> None:
    [one] = predict("set/a.png", "--json")[1].splitlines()
    first, bad, _ = predict("set", "--json")[1].splitlines()
    assert json.loads(first) == json.loads(one)
    assert json.loads(bad).keys() == {"photo", "error"}


def test_out_writes_a_table_and_says_what_is_in_it(predict, photos: Path) -> None:
    code, output = predict("set", "--out", "a.csv", "--top-k", "1")
    assert code == 0
    assert "a.csv: 3 photos, 1 of them without an answer" in output
    header, *rows = (photos.parent / "a.csv").read_text().splitlines()
    assert (
        header == "path,label,probability,known,familiarity,sure,set,fallback,fallback_probability,width,height,error"
    )
    assert [row.partition(",")[0] for row in rows] == ["set/a.png", "set/b.png", "set/c.png"]
    with pytest.raises(OccupiedError, match=r"a\.csv exists"):
        predict("set", "--out", "a.csv")


def test_a_text_is_a_list_only_where_there_is_a_table_to_be_written(predict, photos: Path) -> None:
    (photos / "list.txt").write_text("c.png\na.png\n")
    code, output = predict("set/list.txt")
    assert code == 1
    assert "not an image" in output
    assert predict("set/list.txt", "--out", "a.jsonl")[0] == 0
    rows = map(json.loads, (photos.parent / "a.jsonl").read_text().splitlines())
    assert [row["label"] for row in rows] == ["blue", "red"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [(["--features"], "name it with --out"), (["--json", "--out", "a.csv"], "ends with .jsonl")],
)
def test_options_that_do_not_go_together_are_told(predict, options: list[str], reason: str) -> None:
    code, output = predict("set", *options)
    assert code == 2
    assert reason in " ".join(output.replace("│", " ").split())
