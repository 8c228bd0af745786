import io
import json
import os
from pathlib import Path

from typer.testing import CliRunner

from foodscene.cli import program
from foodscene.models.terminal import open_console
from foodscene.training.commands.train import _list
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.suggestion import SUGGESTED


def test_it_has_a_line_for_each_recipe_in_80_columns() -> None:
    shown = io.StringIO()
    _list(open_console(width=80, file=shown))
    assert max(map(len, shown.getvalue().splitlines())) <= 80
    assert CliRunner().invoke(program, ["train", "--list"]).output.splitlines()[0].startswith("For your photos.")
    lines = [line for line in shown.getvalue().splitlines() if line.strip()]
    assert [line.split()[0] for line in lines[2:5]] == list(SUGGESTED), "what a newcomer wants comes first"
    named = [line.split()[0] for line in lines if line.startswith(" ") and not line.startswith(" recipe ")]
    assert sorted(named) == sorted(recipes.shipped())
    [line] = [line for line in lines if line.split()[0] == "food/standardized-5x128-dropout"]
    assert line.split()[1:4] == ["A16", "0.1819", "0.3863"]


def test_damaged_runs_are_listed_as_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    good = {"recipe": {"name": "mine"}, "status": "finished", "started": "2026", "test": {"top1": 0.5}}
    contents = {
        "good": json.dumps(good).encode(),
        "cut": b'{"recipe": ',
        "deep": b"[" * 100_000,
        "list": b"[]",
        "bytes": b"\xff\xfe\x00",
        "esc\x1b[31m[x]": json.dumps({**good, "dataset": {"name": "\x9b31m[/y]"}}).encode(),
        "esc\x1b[2J": b"{",
    }
    for name, content in contents.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_bytes(content)
    for name in ("pipe", "folder", "sparse"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe" / "run.json")
    (tmp_path / "folder" / "run.json").mkdir()
    with (tmp_path / "sparse" / "run.json").open("wb") as file:
        file.truncate(500_000_000_000)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").touch()
    shown = CliRunner().invoke(program, ["runs", "--runs", str(tmp_path)])
    assert shown.exit_code == 0
    assert all(sign.isprintable() or sign == "\n" for sign in shown.output)
    left_out = [line for line in shown.output.splitlines() if line.startswith("Left out: ")]
    assert len(left_out) == 8, shown.output
    assert "good" in shown.output
    assert "[/y]" in shown.output
    assert any("sparse/run.json has 500,000.0 MB" in line for line in left_out)
    rows = json.loads(CliRunner().invoke(program, ["runs", "--runs", str(tmp_path), "--json"]).output)
    assert [row["name"] for row in rows if "error" not in row] == ["esc\x1b[31m[x]", "good"]
    assert {row["name"] for row in rows if "error" in row} > {"cut", "deep", "pipe", "sparse"}
    for command in (["show", "1"], ["compare", "1", "2"]):
        assert CliRunner().invoke(program, ["runs", "--runs", str(tmp_path), *command]).exit_code == 0


def test_a_folder_that_is_not_there_is_told_from_a_recipe() -> None:
    told = CliRunner().invoke(program, ["train", "no-photos/"])
    assert told.exit_code == 2
    words = " ".join(told.output.replace("│", " ").split())
    assert "there is no folder or archive no-photos/, and no recipe of that name" in words
