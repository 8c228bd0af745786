"""What others call things cannot steer a terminal, nor begin a line of a log."""

import io
import json
import logging
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.markup import escape
from rich.table import Table
from typer.testing import CliRunner

from foodscene import cli
from foodscene.app.server.logs import JsonLines
from foodscene.models.bundle import BundleError
from foodscene.models.terminal import open_console, say
from foodscene.models.text import printable

HOSTILE = "red\x1b[31m\x1b]0;owned\x07\x9b31m\u2028\u2029\x85\x0b\x0c\x08\x7f\u202egnp\u2066\ue000\r\x00[/x][bold]"
"""Escapes, a window's title, U+009B, line ends of all sorts, writing from right to left, and Rich's markup."""
WORDS = "crème brûlée 寿司\u3000定食 كباب نیم\u200cرو 👩\u200d🍳"


def safe(text: str) -> bool:
    return all(sign.isprintable() or sign in "\n\u3000\u200c\u200d" for sign in text)


def run(*arguments: str) -> str:
    return CliRunner().invoke(cli.program, arguments).output


@pytest.fixture
def hostile(toy_bundle: Path, tmp_path: Path) -> Path:
    """Bundles with hostile labels, a hostile title, a hostile name, and a broken one with a hostile reason."""
    root = tmp_path / "models"
    for name in ("labels", "title", "broken", "bad\x1b[31m[x]name"):
        shutil.copytree(toy_bundle / "colours", root / name)
    label = HOSTILE.translate(
        dict.fromkeys(map(ord, "\u2028\u2029\x85\x0b\x0c\r\0"))
    )  # which would end a label, or the text
    (root / "labels" / "labels.txt").write_text(f"{label}\n{WORDS}\nblue\n", newline="")
    card = json.loads((root / "title" / "card.json").read_text())
    (root / "title" / "card.json").write_text(json.dumps({**card, "title": f"{HOSTILE}{WORDS}"}))
    (root / "broken" / "labels.txt").write_text(f"{label}\n{label}\nblue\n")
    return root


def test_words_of_all_languages_stay_and_the_rest_is_shown() -> None:
    assert printable(WORDS) == WORDS
    assert safe(printable(HOSTILE))
    assert printable("a\x1b\x9b\u2028\udcff\U000e0001") == "a\\x1b\\x9b\\u2028\\udcff\\U000e0001"


def test_labels_titles_and_names_are_printed_safely(hostile: Path, tmp_path: Path) -> None:
    photo = tmp_path / "red\x1b[2J.png"
    Image.new("RGB", (60, 40), (220, 10, 10)).save(photo)
    listed = run("models", "--models", str(hostile))
    asked = run("predict", str(photo), "--model", str(hostile / "labels"))
    assert safe(listed), listed
    assert safe(asked), asked
    assert "[/x]" in listed
    assert "\\x1b[31m" in asked
    assert "crème brûlée" in asked
    assert listed.count("cannot be used") == 2
    for rows in (run("models", "--models", str(hostile), "--json"), run("predict", str(photo), "--json")):
        assert safe(rows)
    refused = CliRunner().invoke(cli.program, ["predict", str(photo), "--model", str(hostile / "broken")])
    assert safe(str(refused.exception))


def test_errors_are_told_safely(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: Exception) -> None:
        raise error

    for error in (BundleError(f"first\n{HOSTILE}"), OSError(5, f"{HOSTILE}", HOSTILE), ValueError(HOSTILE)):
        monkeypatch.setattr(cli, "program", lambda error=error: fail(error))
        with pytest.raises(SystemExit):
            cli.cli()
        said = capsys.readouterr().err
        assert safe(said), said
        assert "owned" in said
    assert str(BundleError("one\ntwo")) == "one\ntwo"


def test_rich_prints_tables_and_lines_safely(monkeypatch: pytest.MonkeyPatch) -> None:
    for markup in (False, True):
        written = io.StringIO()
        console = open_console(markup=markup, file=written, width=200)
        shown = escape(HOSTILE) if markup else HOSTILE
        table = Table(shown)
        table.add_row(shown)
        console.print(table, shown)
        assert safe(written.getvalue()), written.getvalue()
        assert written.getvalue().count("owned") == 3
        assert "[/x]" in written.getvalue()
    written = io.StringIO()
    open_console(markup=True, file=written, force_terminal=True, color_system="standard").print("[red]ours[/]")
    assert "\x1b[31mours" in written.getvalue()  # colours of our own stay
    monkeypatch.setattr(sys, "stdout", written := io.StringIO())
    say(HOSTILE)
    assert safe(written.getvalue())


def test_a_line_of_the_log_is_one_line_and_safe() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        error = sys.exc_info()
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s %s", (HOSTILE, WORDS), error)
    record.path = f"/{HOSTILE}"
    line = JsonLines().format(record)
    assert safe(line)
    assert len(line.splitlines()) == 1
    said = json.loads(line)
    assert "\\x9b" in said["path"]
    assert WORDS in said["message"]
    assert "ValueError" in said["error"]


def test_nothing_prints_past_what_makes_it_safe() -> None:
    """`typer.echo` is for our own words, Rich's `Console` for nobody."""
    root = Path(cli.__file__).parent
    for path in (path for folder in ("models", "training") for path in (root / folder).rglob("*.py")):
        code = path.read_text()
        if path.name == "terminal.py" and path.parent.name == "models":
            continue
        assert " Console(" not in code, path
        assert "typer.echo(" not in code, path
