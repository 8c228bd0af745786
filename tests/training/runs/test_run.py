import json
import random
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from foodscene.models.files import OccupiedError
from foodscene.training.runs import run
from foodscene.training.runs.run import RunError

ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7), np.zeros(3, np.uint32)]
HISTORY = [{"epoch": 1, "phase": "train", "val_loss": 0.5}, {"epoch": 2, "phase": "train", "val_loss": 0.4, "new": 1.0}]


def test_a_checkpoint_comes_back_as_it_went(tmp_path: Path) -> None:
    work = run.create(tmp_path / "one", {"status": "begun"})
    assert work.load_checkpoint() == ([], [])
    work.save_checkpoint(ARRAYS, HISTORY)
    work.save_best(ARRAYS[:1])
    state, history = run.read_run(tmp_path / "one").load_checkpoint()
    assert history == HISTORY
    for one, other in zip(state, ARRAYS, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(work.load_best()[0], ARRAYS[0])
    assert (tmp_path / "one/history.csv").read_text() == "epoch,phase,val_loss,new\n1,train,0.5,\n2,train,0.4,1.0\n"


def test_the_epochs_are_read_from_the_table(tmp_path: Path) -> None:
    work = run.create(tmp_path, {"status": "begun"})
    assert work.load_history() == []
    work.save_history(HISTORY)
    assert work.load_history() == [HISTORY[0] | {"new": ""}, HISTORY[1]]


def test_the_record_grows_and_stays_readable(tmp_path: Path) -> None:
    work = run.create(tmp_path, {"status": "begun"})
    work.update(status="finished", top1=0.5)
    assert run.read_run(tmp_path).record == {"status": "finished", "top1": 0.5}
    assert run.read_run(tmp_path).finished


RECORD = {"recipe": {"name": "a"}, "status": "running", "started": "2026-11-21T09:05:07"}


def test_a_run_is_not_begun_twice(tmp_path: Path) -> None:
    run.create(tmp_path, RECORD)
    with pytest.raises(RunError, match="--resume"):
        run.create(tmp_path, RECORD)


@pytest.mark.parametrize("record", ['{"status": "failed", "notes": "mine"}', '{"recipe": "soup"}', "[1]", "{}", "{"])
def test_somebody_s_own_run_json_is_none_of_ours(tmp_path: Path, record: str) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "run.json").write_text(record)
    assert not run.is_run(folder)
    with pytest.raises(RunError, match=r"holds run\.json, and no run"):
        run.create(folder, RECORD)
    with pytest.raises(RunError, match="no unfinished run"):
        run.newest_unfinished(tmp_path, None)
    assert (folder / "run.json").read_text() == record


def test_a_run_s_place_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RunError, match="a link to a folder that is not there"):
        run.check_new(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(OccupiedError, match="is a file"):
        run.new_folder(tmp_path / "file", "food/basic", datetime(2026, 11, 21))


def test_a_run_that_failed_before_its_first_epoch_is_in_nobody_s_way(tmp_path: Path) -> None:
    work = run.create(tmp_path / "one", {**RECORD, "status": "failed"})
    with pytest.raises(RunError, match="no unfinished run"):
        run.newest_unfinished(tmp_path, None)
    assert run.create(work.folder, RECORD).record["status"] == "running"
    work.update(status="failed")
    work.save_checkpoint(ARRAYS, HISTORY)
    with pytest.raises(RunError, match="--resume"):
        run.create(work.folder, RECORD)
    assert run.newest_unfinished(tmp_path, "a").name == "one"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run\.json"):
        run.read_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        run.read_run(tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    work = run.create(tmp_path, {})
    (tmp_path / "checkpoint.npz").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(RunError, match=r"checkpoint\.npz cannot be read"):
        work.load_checkpoint()


def test_the_newest_unfinished_run_of_a_recipe_is_found(tmp_path: Path) -> None:
    for name, recipe, status in [("1", "a", "interrupted"), ("2", "b", "interrupted"), ("3", "a", "finished")]:
        run.create(tmp_path / name, {**RECORD, "recipe": {"name": recipe}, "status": status})
    assert run.newest_unfinished(tmp_path, "a").name == "1"
    assert run.newest_unfinished(tmp_path, None).name == "2"
    with pytest.raises(RunError, match="no unfinished run of c"):
        run.newest_unfinished(tmp_path, "c")


def test_a_run_s_name_sorts_by_time() -> None:
    assert run.folder_name("food/basic", datetime(2026, 11, 21, 9, 5, 7)) == "20261121-090507-food-basic"


WRITER = """
import sys
from pathlib import Path
import numpy as np
from foodscene.training.runs import run
work = run.read_run(Path(sys.argv[1]))
state, history = work.load_checkpoint()
while True:
    epoch = len(history) + 1
    history.append({"epoch": epoch, "val_loss": 1 / epoch})
    work.save_best([np.full(200_000, epoch, np.float32)])
    work.save_checkpoint([np.full(200_000, epoch, np.float32)] * 2, history)
    work.update(epochs=epoch)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_a_folder_that_goes_on(tmp_path: Path) -> None:
    work, done, rng = run.create(tmp_path, {"status": "running"}), 0, random.Random(0)
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], cwd=Path(__file__).parents[3]) as writer:
            deadline = time.monotonic() + 30
            while len(work.load_checkpoint()[1]) == done and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
        state, history = work.load_checkpoint()
        assert len(history) > done
        done = len(history)
        assert [row["epoch"] for row in history] == list(range(1, done + 1))
        assert all((array == done).all() for array in state)
        assert work.load_best()[0][0] in (done, done + 1)
        assert json.loads((tmp_path / "run.json").read_text())["status"] == "running"
