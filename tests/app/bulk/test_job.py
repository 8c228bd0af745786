"""Photos to a table: in order, all of them once, however often it is stopped."""

import csv
import json
import random
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from foodscene.app.bulk import job
from foodscene.app.bulk.errors import BulkError
from foodscene.app.bulk.job import Labeller, label, write_table
from foodscene.app.inference.scheduler import Scheduler
from foodscene.models.bundle import Bundle
from foodscene.models.files import DiskFullError
from tests.app.bulk.conftest import BLUE, LIME, RED, png, tarred, zipped

ROOT = Path(__file__).parents[3]
COLOURS = {"red": RED, "green": LIME, "blue": BLUE}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def mixed(count: int) -> dict[str, bytes]:
    """So many photos, the name of each beginning with the label that it should get."""
    names = list(COLOURS)
    return {f"{number:04}-{names[number % 3]}.png": COLOURS[names[number % 3]] for number in range(count)}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many photos were given to the threads, in `[0]`."""
    given = [0]
    submit = Scheduler.submit

    def submitting(self, runner, photos):
        given[0] += len(photos)
        return submit(self, runner, photos)

    monkeypatch.setattr(Scheduler, "submit", submitting)
    return given


def test_every_photo_has_its_row_in_order_with_what_is_known_of_it(
    write, place: Path, bundle: Bundle, labeller
) -> None:
    write({f"set/{name}": content for name, content in mixed(300).items()})
    write({"set/0001-bad.jpg": b"no photo", "set/0002-broken.png": RED[:40], "set/large.png": png("red", (900, 700))})
    outcome = write_table(labeller, bundle, ["set"], place / "a.csv")
    assert (outcome.rows, outcome.failed) == (303, 2)
    rows = rows_of(place / "a.csv")
    assert [row["path"] for row in rows] == sorted(f"set/{path.name}" for path in (place / "set").iterdir())
    for row in rows:
        name = row["path"].removesuffix(".png").rpartition("-")[2]
        if name in COLOURS:
            assert (row["label"], row["width"], row["height"], row["error"]) == (name, "20", "10", "")
            assert float(row["probability"]) > 0.9 > float(row["probability_2"])
            assert row["sure"] == "true"
    bad, broken, large = (next(row for row in rows if name in row["path"]) for name in ("bad", "broken", "large"))
    assert "not an image" in bad["error"]
    assert "damaged" in broken["error"]
    assert (bad["label"], bad["width"]) == ("", "")
    assert (large["label"], large["width"], large["height"]) == ("red", "900", "700")
    assert [path.name for path in place.iterdir() if path.name.startswith("a.csv")] == ["a.csv"]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_table_is_the_same_however_many_threads_there_are(
    write, place: Path, bundle: Bundle, labeller, threads: int
):
    write({f"set/{name}": content for name, content in mixed(100).items()})
    write_table(labeller, bundle, ["set"], place / "two.csv")
    write_table(Labeller(bundle, 2, threads=threads), bundle, ["set"], place / "other.csv")
    assert (place / "two.csv").read_bytes() == (place / "other.csv").read_bytes()


def test_what_ends_a_job_keeps_what_is_done_and_nothing_is_done_twice(
    write, place: Path, bundle: Bundle, labeller, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = mixed(90)
    whole = tarred(members)
    write({"set/a.png": RED, "set/b.tar": whole[: len(members) * 512], "set/c.png": BLUE})
    with pytest.raises(BulkError, match=r"b\.tar ends early"):
        write_table(labeller, bundle, ["set"], place / "a.csv")
    assert not (place / "a.csv").exists()
    [part] = (place / "a.csv.parts").glob("rows-*")
    kept = len(part.read_text().splitlines())
    assert 20 < kept < 90
    write({"set/b.tar": whole})
    given = counted(monkeypatch)
    outcome = write_table(labeller, bundle, ["set"], place / "a.csv")
    assert outcome.rows == 92
    assert given == [92 - kept]
    rows = rows_of(place / "a.csv")
    assert [row["path"] for row in rows] == ["set/a.png", *(f"set/b.tar/{name}" for name in members), "set/c.png"]
    assert all(row["label"] in row["path"] for row in rows[1:-1])


def test_a_disk_that_fills_keeps_what_is_done(write, place: Path, bundle: Bundle, labeller, monkeypatch) -> None:
    write({"set.tar": tarred(mixed(200))})
    monkeypatch.setattr(job, "_PART_ROWS", 50)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, before[1]))  # room for any part, and not for the whole
    try:
        with pytest.raises(DiskFullError, match="There is no room left"):
            write_table(labeller, bundle, ["set.tar"], place / "a.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (place / "a.csv").exists()
    given = counted(monkeypatch)
    assert write_table(labeller, bundle, ["set.tar"], place / "a.csv").rows == 200
    assert given[0] == 0  # only the whole had no room
    assert len({row["path"] for row in rows_of(place / "a.csv")}) == 200


def test_a_folder_that_is_gone_in_the_middle_ends_the_job(write, labeller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_UNDER_WAY", 32)
    write({f"set/{name}": content for name, content in mixed(300).items()})
    labelled = 0

    def gone(row) -> None:
        nonlocal labelled
        labelled += 1
        if labelled == 1:
            shutil.move("set", "elsewhere")

    with pytest.raises(BulkError, match="set is not there any more"):
        label(labeller, ["set"], gone)
    assert 1 <= labelled < 300


def test_features_are_what_enters_the_last_layer(write, place: Path, bundle: Bundle) -> None:
    write({"set/a.png": png("#804020"), "set/b.png": b"no photo"})
    write_table(Labeller(bundle, 1, features=True, threads=1), bundle, ["set"], place / "a.jsonl")
    good, bad = map(json.loads, (place / "a.jsonl").read_text().splitlines())
    # The toy network's last layer takes the mean of each channel, 0 to 1.
    np.testing.assert_allclose(good["features"], [0x80 / 255, 0x40 / 255, 0x20 / 255], atol=1e-5)
    assert bad["features"] is None


def test_memory_does_not_grow_with_photos(write, place: Path, labeller, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more photos are under way than may be, however slowly their rows are taken."""
    write({"set.zip": zipped(mixed(900))})
    given = counted(monkeypatch)
    most = taken = 0

    def slow(row) -> None:
        nonlocal most, taken
        taken += 1
        most = max(most, given[0] - taken)
        if taken % 100 == 0:
            time.sleep(0.02)

    label(labeller, ["set.zip"], slow)
    assert taken == 900
    assert most <= job._UNDER_WAY


_IN_THE_BACKGROUND = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell begins what ends with an ampersand
"""
_SMALL_PARTS = """
import sys
from foodscene import cli
from foodscene.app.bulk import job
job._PART_ROWS = 40
submit = job.Labeller._submitted
def slow(self, scheduler, photo):
    job.time.sleep(0.002)
    return submit(self, scheduler, photo)
job.Labeller._submitted = slow
cli.cli()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "times"),
    [("kill", 2), pytest.param("terminate", 1, marks=pytest.mark.nightly), ("terminate in the background", 1)],
)
def test_killed_again_and_again_it_ends_with_every_photo_once(
    write, place: Path, toy_bundle: Path, bundle, labeller, how, times
):
    how, _, background = how.partition(" ")
    write({"set.zip": zipped(mixed(600)), "more.tar.gz": tarred(mixed(500), "w:gz")})
    paths = ["set.zip", "more.tar.gz"]
    write_table(labeller, bundle, paths, place / "whole.csv")
    code = _IN_THE_BACKGROUND * bool(background) + _SMALL_PARTS
    command = [sys.executable, "-c", code, "predict", *paths, "--models", str(toy_bundle)]
    command += ["--top-k", "2", "--out", "a.csv"]
    rng = random.Random(3)
    stopped, before = 0, 0
    while True:
        process = subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True)
        watch = threading.Timer(120, process.kill)
        watch.start()
        while process.poll() is None and stopped < times:
            if (
                len(list((place / "a.csv.parts").glob("rows-*"))) > before
                if (place / "a.csv.parts").exists()
                else False
            ):
                time.sleep(rng.uniform(0, 0.3))
                getattr(process, how)()
                break
            time.sleep(0.01)
        _, said = process.communicate()
        watch.cancel()
        if process.returncode == 0:
            break
        stopped += 1
        before = len(list((place / "a.csv.parts").glob("rows-*")))
        assert stopped <= times, said
        if how == "terminate":
            assert process.returncode == 130
            assert "the same command goes on" in said
    assert stopped == times
    assert (place / "a.csv").read_bytes() == (place / "whole.csv").read_bytes()
    assert not (place / "a.csv.parts").exists()
