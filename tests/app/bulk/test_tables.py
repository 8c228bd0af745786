"""Tables as files, joined from parts."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.tables import Table, table_for

COLUMNS = ("path", "label", "probability", "known", "sure", "set", "width", "error", "features")
ROWS: list[dict[str, Any]] = [
    dict(zip(COLUMNS, values, strict=True))
    for values in [
        ('a,"b"\n.jpg', "crème", 0.25, None, True, ["x", "y|z"], 3, None, [0.5, -1.0]),
        ("b.jpg", None, None, None, None, None, None, "It is damaged.", None),
        ("c.jpg", "soup", 1.0, False, False, [], 4, None, [0.0, 2.0]),
    ]
]


def joined(table: Table, folder: Path) -> bytes:
    paths = []
    for number, row in enumerate(ROWS):
        paths.append(folder / str(number))
        paths[-1].write_bytes(table.part([row]))
    target = io.BytesIO()
    table.join(paths, target)
    return target.getvalue()


def test_csv(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(joined(table_for(Path("a.csv"), COLUMNS, {}), tmp_path).decode())))
    assert [row["path"] for row in rows] == [row["path"] for row in ROWS]
    assert rows[0] == {
        "path": 'a,"b"\n.jpg',
        "label": "crème",
        "probability": "0.25",
        "known": "",
        "sure": "true",
        "set": '["x", "y|z"]',
        "width": "3",
        "error": "",
        "features": "[0.5, -1.0]",
    }
    assert rows[1]["error"] == "It is damaged."
    assert rows[2]["known"] == "false"


def test_json_lines(tmp_path: Path) -> None:
    lines = joined(table_for(Path("a.JSONL"), COLUMNS, {}), tmp_path).splitlines()
    assert [json.loads(line) for line in lines] == ROWS


def test_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra bulk")
    content = joined(table_for(Path("a.parquet"), COLUMNS, {"model": "toy"}), tmp_path)
    table = parquet.read_table(io.BytesIO(content))
    assert table.to_pylist() == ROWS
    assert table.schema.metadata[b"model"] == b"toy"


@pytest.mark.parametrize("name", ["a.xlsx", "a", ".csv/"])
def test_another_name_is_told(name: str) -> None:
    with pytest.raises(BulkError, match=r"let it end with \.csv, \.jsonl, \.parquet"):
        table_for(Path(name), COLUMNS, {})
