"""What SECURITY.md says is held is held by tests that exist."""

import ast
import re
from pathlib import Path

import pytest

from benchmarks.costs import MOST_MEGABYTES, MOST_SECONDS
from foodscene.app.settings import Settings
from foodscene.models.decoding.limits import LIMITS

ROOT = Path(__file__).parents[1]


def lines(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its first two lines."""
    section = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


LINES = lines("What is defended, and how")


def defined_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_there_is_a_line_for_each_kind_of_attack() -> None:
    assert len(LINES) >= 18
    assert all(len(cells) == 3 for cells in LINES)


@pytest.mark.parametrize("cells", LINES, ids=[cells[0] for cells in LINES])
def test_the_tests_that_a_line_names_exist(cells: list[str]) -> None:
    _, _, held_by = cells
    named = 0
    for part in held_by.split("<br>"):
        path, *tests = re.findall("`([^`]+)`", part)
        assert (ROOT / path).is_file(), path
        missing = set(tests) - defined_in(ROOT / path) if tests else set()
        assert not missing, f"{path} has no {missing}"
        named += len(tests)
    assert named, "no test holds it"


def test_the_settings_that_it_names_exist() -> None:
    named = re.findall(r"`FOODSCENE_(\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert named
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_the_limits_that_it_states_are_those_that_are_set() -> None:
    costs = lines("What a photo costs at most")
    limits = (LIMITS.jpeg, LIMITS.progressive, LIMITS.plain, LIMITS.heif, LIMITS.webp)
    assert [float(cells[1]) for cells in costs] == [pixels / 1e6 for pixels in limits]
    assert f"up to {LIMITS.scans} scans" in costs[1][0]
    assert all(float(seconds) <= MOST_SECONDS and float(held) <= MOST_MEGABYTES for *_, seconds, held in costs)
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    settings = Settings.model_fields
    assert f"An upload has at most {settings['max_upload_mb'].default:g} MB." in text
    assert f"ends after {settings['max_decoding_seconds'].default:g} seconds of one core" in text
