"""Photos in Parquet files."""

import io
from typing import Any

import pytest

from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.photos import BEGIN, Photo, Position, Reader
from foodscene.app.bulk.plan import plan
from tests.app.bulk.conftest import BLUE, LIME, RED

pa = pytest.importorskip("pyarrow", reason="needs the extra bulk")


def parquet(columns: dict[str, list[Any]], group: int = 1000) -> bytes:
    from pyarrow.parquet import write_table

    target = io.BytesIO()
    write_table(pa.table(columns), target, row_group_size=group)
    return target.getvalue()


def read(path: str, start: Position = BEGIN) -> list[Photo]:
    return [photo for chunk in Reader(list(plan([path])), start).chunks() for photo in chunk]


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"label": [1, 2, 3], "jpg": [RED, None, BLUE]}, ["a.parquet/0", "a.parquet/1", "a.parquet/2"]),
        ({"path": ["x", "y", "z"], "jpg": [RED, None, BLUE]}, ["x", "y", "z"]),
        (
            {"image": [{"bytes": RED, "path": "x"}, {"bytes": None, "path": "y"}, {"bytes": BLUE, "path": None}]},
            ["x", "y", "a.parquet/2"],
        ),
    ],
)
def test_bytes_are_photos(write, columns: dict[str, list[Any]], names: list[str]) -> None:
    write({"a.parquet": parquet(columns)})
    found = read("a.parquet")
    assert [photo.path for photo in found] == names
    assert [photo.content for photo in found] == [RED, "The table has no bytes here.", BLUE]


def test_paths_are_those_of_photos(write) -> None:
    write({"in/a.parquet": parquet({"n": [1, 2, 3], "file_name": ["x.png", None, "y.png"]}), "in/x.png": RED})
    first, second = read("in/a.parquet")
    assert first[:2] == ("in/x.png", RED)
    assert "No such file" in str(second.content)


def test_reading_goes_on_at_any_row(write) -> None:
    write({"a.parquet": parquet({"photo": [f"{number}".encode() for number in range(50)]}, group=7)})
    found = read("a.parquet")
    assert [photo.content for photo in found] == [f"{number}".encode() for number in range(50)]
    for done in (0, 1, 6, 7, 20, 49, 50):
        assert read("a.parquet", Position(0, done)) == found[done:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PAR1 and no more", "no Parquet file that can be read"),
        (parquet({"a": [1], "b": ["x"]}), "no column of photos, neither bytes nor paths .*: it has a, b"),
        (parquet({"photo": [LIME]})[:-50], "no Parquet file that can be read"),
    ],
)
def test_what_is_no_table_of_photos_is_told(write, content: bytes, reason: str) -> None:
    write({"a.parquet": content})
    with pytest.raises(BulkError, match=reason):
        read("a.parquet")
