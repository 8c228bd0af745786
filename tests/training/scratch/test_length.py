from pathlib import Path

from foodscene.training import scratch

BRIDGES = {"graph.py", "recipes.py"}
"""What leads from the library to recipes and files."""


def test_the_library_is_read_in_an_evening() -> None:
    """Under 800 lines that are not blank."""
    files = [path for path in Path(scratch.__file__).parent.glob("*.py") if path.name not in BRIDGES]
    lines = sum(bool(line.strip()) for path in files for line in path.read_text().splitlines())
    assert 500 < lines < 800


def test_its_first_page_names_every_file() -> None:
    for path in Path(scratch.__file__).parent.glob("[!_]*.py"):
        assert path.stem in (scratch.__doc__ or ""), path
