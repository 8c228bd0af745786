"""What is kept of a table until it is whole."""

from pathlib import Path

import pytest

from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.parts import keeping
from foodscene.app.bulk.photos import BEGIN, Position
from foodscene.app.bulk.plan import Item
from foodscene.models.files import OccupiedError

JOB = {"model": "toy", "columns": ["path"], "photos": ["/set"]}
PLAN = [Item("file", "a.jpg"), Item("tar", "b.tar", photos=None)]


def begin(output: Path) -> None:
    with keeping(output, JOB) as parts:
        parts.plan(PLAN)
        parts.add(b"one\n", 1, Position(1))


def test_what_is_done_is_there_the_next_time(tmp_path: Path) -> None:
    begin(tmp_path / "a.csv")
    with keeping(tmp_path / "a.csv", JOB) as parts:
        assert (parts.rows, parts.position) == (1, Position(1))
        parts.plan([])  # the one that was kept counts
        assert list(parts.items()) == PLAN
        parts.add(b"two\nthree\n", 2, Position(1, 2))
        with parts.writing_whole() as file:
            file.write(b"".join(path.read_bytes() for path in parts.paths()))
        parts.publish()
    assert (tmp_path / "a.csv").read_bytes() == b"one\ntwo\nthree\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.csv"]


def test_another_job_replaces_nothing_and_says_what_differs(tmp_path: Path) -> None:
    begin(tmp_path / "a.csv")
    with (
        pytest.raises(BulkError, match="it differs by its model, columns"),
        keeping(tmp_path / "a.csv", {**JOB, "model": "other", "columns": []}),
    ):
        pass
    with keeping(tmp_path / "a.csv", JOB) as parts:
        assert parts.rows == 1


def test_a_job_that_did_nothing_yet_is_in_nobodys_way(tmp_path: Path) -> None:
    with keeping(tmp_path / "a.csv", JOB) as parts:
        parts.plan(PLAN)
    with keeping(tmp_path / "a.csv", {**JOB, "photos": ["/other"]}) as parts:
        parts.plan(PLAN[:1])
        assert list(parts.items()) == PLAN[:1]


def test_a_job_that_cannot_be_planned_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BulkError), keeping(tmp_path / "a.csv", JOB):
        raise BulkError("absent is not there.")
    assert not list(tmp_path.iterdir())


def test_a_file_at_the_place_of_the_output_stays(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("somebody's own")
    with pytest.raises(OccupiedError, match=r"a\.csv exists: it is not replaced"), keeping(tmp_path / "a.csv", JOB):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_file_that_came_there_meanwhile_stays_and_so_does_the_table(tmp_path: Path) -> None:
    with keeping(tmp_path / "a.csv", JOB) as parts:
        parts.plan(PLAN)
        with parts.writing_whole() as file:
            file.write(b"the table")
        (tmp_path / "a.csv").write_text("somebody's own")
        with pytest.raises(OccupiedError, match=r"The table is whole: .*whole"):
            parts.publish()
    assert (tmp_path / "a.csv").read_text() == "somebody's own"
    assert (tmp_path / "a.csv.parts" / "whole").read_bytes() == b"the table"
    with pytest.raises(OccupiedError), keeping(tmp_path / "a.csv", JOB):
        pass


def test_one_killed_while_it_cleared_up_is_done(tmp_path: Path) -> None:
    begin(tmp_path / "a.csv")
    with keeping(tmp_path / "a.csv", JOB) as parts:
        parts.add(b"two\n", 1, Position(2))
        with parts.writing_whole() as file:
            file.write(b"the table")
        (tmp_path / "a.csv").hardlink_to(tmp_path / "a.csv.parts" / "whole")
        parts.paths()[0].unlink()
    with keeping(tmp_path / "a.csv", JOB) as parts:
        assert parts.published
        parts.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_one_process_writes_a_table(tmp_path: Path) -> None:
    with (
        keeping(tmp_path / "a.csv", JOB) as parts,
        pytest.raises(BulkError, match="Another process is writing"),
        keeping(tmp_path / "a.csv", JOB),
    ):
        pass
    assert parts.position == BEGIN


def test_a_part_that_is_missing_is_told(tmp_path: Path) -> None:
    begin(tmp_path / "a.csv")
    with keeping(tmp_path / "a.csv", JOB) as parts:
        parts.add(b"two\n", 1, Position(2))
        parts.paths()[0].unlink()
    with pytest.raises(BulkError, match="lacks some of its parts"), keeping(tmp_path / "a.csv", JOB):
        pass


def test_a_folder_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "a.csv.parts").mkdir()
    (tmp_path / "a.csv.parts" / "thesis.txt").write_text("mine")
    with pytest.raises(OccupiedError, match="not made by foodscene"), keeping(tmp_path / "a.csv", JOB):
        pass
    assert [path.name for path in (tmp_path / "a.csv.parts").iterdir()] == ["thesis.txt"]
