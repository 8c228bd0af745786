"""A table of photos of which many are asked about twice: in order, none lost, and the same however it is run."""

import json
import shutil
from pathlib import Path

import pytest

from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.job import Labeller, write_table
from foodscene.models.bundle import CARD, Bundle, read_bundle
from tests.app.bulk.conftest import png
from tests.app.bulk.test_job import rows_of

KNOWN = {"red": True, "yellow": False, "orangered": True, "purple": False}


@pytest.fixture
def asker(fallback_bundles: Path, place: Path) -> Bundle:
    shutil.copytree(fallback_bundles, place / "models")
    return read_bundle(place / "models" / "colours")


def mixed(count: int) -> dict[str, bytes]:
    names = list(KNOWN)
    return {f"set/{number:04}-{names[number % 4]}.png": png(names[number % 4]) for number in range(count)}


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_say_what_is_known_and_what_the_rest_may_be(write, place: Path, asker: Bundle, threads: int) -> None:
    write({**mixed(400), "set/bad.jpg": b"no photo"})
    outcome = write_table(Labeller(asker, 2, threads=threads), asker, ["set"], place / "a.csv")
    assert (outcome.rows, outcome.failed) == (401, 1)
    rows = rows_of(place / "a.csv")
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    for row in rows[:-1]:
        colour = row["path"].removesuffix(".png").partition("-")[2]
        assert row["known"] == json.dumps(KNOWN[colour])
        assert row["sure"] == json.dumps(colour == "red")
        assert row["fallback"] == ("" if KNOWN[colour] else colour)
        assert (float(row["fallback_probability"] or 0) > 0.9) is not KNOWN[colour]
    assert (rows[-1]["known"], rows[-1]["fallback"]) == ("", "")


def test_parquet_has_a_type_for_each_column(write, place: Path, asker: Bundle) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra bulk")
    write(mixed(4))
    write_table(Labeller(asker, 2, threads=2), asker, ["set"], place / "a.parquet")
    rows = parquet.read_table(place / "a.parquet").to_pylist()
    assert [row["known"] for row in rows] == list(KNOWN.values())
    assert [row["fallback"] for row in rows] == [None, "yellow", None, "purple"]
    assert rows[0]["fallback_probability"] is None
    assert rows[1]["fallback_probability"] > 0.9


def test_a_table_goes_on_with_the_fallback_that_it_began_with(write, place: Path, asker: Bundle) -> None:
    write({**mixed(8), "set/z.tar": b"no tar"})
    with pytest.raises(BulkError):
        write_table(Labeller(asker, 2, threads=2), asker, ["set"], place / "a.csv")
    assert (place / "a.csv.parts").exists()
    card = json.loads((place / "models" / "things" / CARD).read_text())
    (place / "models" / "things" / CARD).write_text(json.dumps({**card, "foreign": []}))
    with pytest.raises(BulkError, match="it differs by its model"):
        write_table(Labeller(asker, 2, threads=2), asker, ["set"], place / "a.csv")
