"""What is known before training is checked before it, and a run is gone on with as it was begun."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foodscene import evaluate
from foodscene.models import bundle as bundles
from foodscene.models.bundle import BundleError
from foodscene.models.files import OccupiedError
from foodscene.training.datasets import DatasetError
from foodscene.training.loop import loop, scratch
from foodscene.training.networks.transfer import WeightsError
from foodscene.training.runs import run
from foodscene.training.runs.run import RunError
from foodscene.training.scratch.recipes import UnsupportedError
from foodscene.training.train import InterruptedRun, Outcome, _unused_gpu, resume, train

SMALL = ("input.size=16", "input.scale=unit", "model.filters=[4]", "training.epochs=1", "training.batch_size=8")


BOTH = pytest.mark.parametrize("backend", ["keras", "scratch"])
"""What holds of one backend holds of the other."""


@pytest.fixture
def photos(folder: Callable[..., Path], two_classes: dict[str, bytes]) -> Path:
    return folder(two_classes)


def tiny(photos: Path, place: Path, *settings: str, **options: Any) -> Outcome:
    """A run of the smallest network."""
    return train("food/basic", [photos], settings=(*SMALL, *settings), run=place, **options)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever gets as far as the first epoch fails the test."""
    monkeypatch.setattr(loop, "_train_phase", lambda *_: pytest.fail("it was trained"))
    monkeypatch.setattr(scratch, "_train_epoch", lambda *_: pytest.fail("it was trained"))


@BOTH
@pytest.mark.slow
def test_the_outcome_says_what_it_led_to(photos: Path, tmp_path: Path, backend: str) -> None:
    said: list[str] = []
    outcome = tiny(photos, tmp_path / "run", tell=said.append, backend=backend)
    assert said[0] == "food/basic: 2 classes: a, b"
    assert any(line.startswith("It trains on ") for line in said)
    assert outcome.bundle.folder == tmp_path / "run/models/food-basic"
    assert outcome.bundle.labels == ("a", "b")
    assert outcome.report == tmp_path / "run/report.html"
    assert outcome.evaluation
    assert outcome.run.record["backend"] == backend
    assert ("NumPy" if backend == "scratch" else "Keras on") in outcome.run.record["device"]
    assert outcome.evaluation.top1.value == pytest.approx(outcome.run.record["test"]["top1"], abs=1e-6)


def test_a_gpu_that_keras_does_not_find_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foodscene.training.train._DEVICES", tmp_path)
    on_cpu = "x86_64, 2 cores, Keras on tensorflow (cpu:0)"
    assert not _unused_gpu(on_cpu)
    (tmp_path / "nvidia0").touch()
    assert "pip install" not in _unused_gpu("x86_64, 2 cores, NumPy 2.4.6")
    assert "a GPU that Keras' backend does not find" in _unused_gpu(on_cpu)
    assert not _unused_gpu("x86_64, 2 cores, Keras on jax (gpu:0)")


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("target", ["photos", ".", "file"])
def test_no_folder_of_other_things_is_replaced(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((OccupiedError, BundleError)):
        tiny(photos, tmp_path / "run", bundle=Path(target))
    assert sorted(tmp_path.rglob("*")) == before, "and no run is begun"


@BOTH
@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["bundle=my bundle"], "'my bundle' is no name for a bundle"),
        (["training.epochs=0"], "training.epochs"),
        (["teacher.temperature=2.0"], "Name a bundle: --teacher BUNDLE"),
    ],
)
def test_what_the_recipe_says_wrongly_is_said_before_a_run_is_begun(
    photos: Path, tmp_path: Path, settings: list[str], said: str, backend: str
) -> None:
    with pytest.raises(ValueError, match=said):
        tiny(photos, tmp_path / "run", *settings, backend=backend)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        (
            ["model.residual=true", "training.compact=true"],
            {},
            r"have model\.residual, training\.compact\. Change that",
        ),
        ([], {"engine": "keras"}, "have --engine keras"),
        ([], {"weights": "none", "start": bundles.SHIPPED / "scenes-cnn"}, "leave one out"),
        ([], {"weights": "none"}, "have --weights"),
        (["input.scale=none"], {"start": bundles.SHIPPED / "scenes-cnn"}, "have --from"),
    ],
)
def test_what_the_library_in_numpy_lacks_is_named_before_a_run_is_begun(
    photos: Path, tmp_path: Path, settings: list[str], options: dict[str, Any], said: str
) -> None:
    with pytest.raises((UnsupportedError, RunError), match=said):
        tiny(photos, tmp_path / "run", *settings, backend="scratch", **options)
    assert not (tmp_path / "run").exists()


def test_a_backend_that_there_is_not_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="it is keras or scratch, not 'caffe'"):
        tiny(photos, tmp_path / "run", backend="caffe")


@pytest.mark.usefixtures("untrained")
def test_what_only_fine_tuning_needs_is_checked_before_the_first_epoch(photos: Path, tmp_path: Path) -> None:
    settings = ["input.size=32", "training.epochs=1", "finetune.unfreeze=blok5", "finetune.epochs=1"]
    with pytest.raises(WeightsError, match="no layer's name begins with 'blok5'"):
        train("photos/few", [photos], settings=settings, weights="none", run=tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (["model.backbone=EfficientNetLite0"], "extra 'lite'"),
        (["model.backbone=VGG61"], "there is no 'VGG61'"),
        (["model.weights=absent.h5"], "no file absent.h5"),
    ],
)
def test_a_backbone_is_looked_for_before_photos_are_decoded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], match: str
) -> None:
    monkeypatch.setattr("foodscene.training.networks.efficientnet_lite.installed", lambda _name: None)
    monkeypatch.setattr("foodscene.training.data.load.load_for", lambda *_: pytest.fail("decoded"))
    with pytest.raises(WeightsError, match=match):
        train("photos/few", [photos], settings=settings, run=tmp_path / "run")


@BOTH
@pytest.mark.usefixtures("untrained")
def test_the_disk_s_room_is_checked_before_the_first_epoch(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    place = tmp_path / "run"
    real = shutil.disk_usage
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: real(path)._replace(free=100_000 if path == place else 10**12)
    )
    with pytest.raises(OSError, match=r"0\.00 GB are needed in .*run and 0\.00 GB are free"):
        tiny(photos, place, "model.filters=[64, 64]", backend=backend)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("names", [("cat", "two\nlines"), ("cat", "two\u2028lines"), (b"caf\xe9", "a")])
def test_classes_that_make_no_labels_are_named(
    folder: Callable[..., Path], two_classes: dict[str, bytes], tmp_path: Path, names: tuple[str | bytes, ...]
) -> None:
    photos = folder(two_classes)
    for old, new in zip("ab", names, strict=True):
        (photos / old).rename(photos / os.fsdecode(new))
    with pytest.raises(BundleError, match="Rename"):
        tiny(photos, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("untrained")
def test_classes_that_are_one_are_told(
    folder: Callable[..., Path], two_classes: dict[str, bytes], tmp_path: Path
) -> None:
    photos = folder(two_classes)
    for old, new in zip("ab", ("cat", "cat "), strict=True):
        (photos / old).rename(photos / new)
    with pytest.raises(DatasetError, match=r"has 1 class.* Several folders are called cat"):
        tiny(photos, tmp_path / "run")


@pytest.mark.usefixtures("untrained")
def test_a_class_that_is_not_there_cannot_be_renamed(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"data\.rename: photos has no class 'zebra'"):
        tiny(photos, tmp_path / "run", 'data.rename={zebra = "Zebra"}')


@pytest.mark.usefixtures("untrained")
def test_outliers_are_looked_for_before_training(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"--set training\.outliers=0\.1"):
        tiny(photos, tmp_path / "run", outliers=photos)
    with pytest.raises(RunError, match="there is no"):
        tiny(photos, tmp_path / "run", "training.outliers=0.1", outliers=tmp_path / "absent")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_remembers_its_outliers(
    photos: Path, tmp_path: Path, photo: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    for number in range(3):
        (strange / f"{number}.jpg").write_bytes(photo(500 + number))
    real = loop._train_phase

    def interrupted(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_train_phase", interrupted)
    with pytest.raises(InterruptedRun):
        tiny(photos, tmp_path / "run", "training.outliers=0.5", outliers=strange)
    begun = run.read_run(tmp_path / "run").record
    assert begun["outliers"]["photos"] == 3
    assert "--outliers strange" in begun["command"]
    monkeypatch.setattr(loop, "_train_phase", real)
    (strange / "2.jpg").write_bytes(photo(900))
    with pytest.raises(RunError, match="other photos"):
        resume(tmp_path / "run")
    (strange / "2.jpg").write_bytes(photo(502))
    assert resume(tmp_path / "run").bundle.labels == ("a", "b")


@pytest.mark.slow
def test_the_bundle_has_the_names_that_the_recipe_gives_and_is_measured_by_the_old_ones(
    photos: Path, tmp_path: Path
) -> None:
    outcome = tiny(photos, tmp_path / "run", 'data.rename={a = "Antelope"}', "data.spell_labels=true")
    assert outcome.bundle.labels == ("Antelope", "B")
    assert evaluate(outcome.bundle.folder, photos).labels == ("Antelope", "B")


@pytest.mark.usefixtures("untrained")
def test_there_is_something_to_tell_apart(
    tmp_path: Path, folder: Callable[..., Path], two_classes: dict[str, bytes]
) -> None:
    one = {name: photo for name, photo in two_classes.items() if name.startswith("a/")}
    with pytest.raises(DatasetError, match="has 1 class: a classifier tells at least two apart"):
        tiny(folder(one), tmp_path / "run")


@pytest.mark.usefixtures("untrained")
def test_there_are_photos_to_validate_on(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="0 validation photos: too few"):
        tiny(photos, tmp_path / "run", "data.fractions=[1.0, 0.0, 0.0]")


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("run_folder", ["both", "both/run"])
def test_the_run_and_the_bundle_have_folders_of_their_own(photos: Path, tmp_path: Path, run_folder: str) -> None:
    with pytest.raises(RunError, match="lies in the bundle's"):
        tiny(photos, tmp_path / run_folder, bundle=tmp_path / "both")


def test_a_run_takes_a_folder_of_its_own(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds a, and no run"):
        tiny(photos, photos)


@pytest.mark.slow
def test_a_bundle_that_cannot_go_where_it_was_wanted_is_not_lost(photos: Path, tmp_path: Path) -> None:
    class Meddler:
        """Puts a file where the bundle is to go, while the run trains."""

        def begin(self, epoch: int, epochs: int, photos: int) -> None:
            (tmp_path / "wanted").mkdir(exist_ok=True)
            (tmp_path / "wanted" / "thesis.txt").write_text("mine")

        def advance(self, photos: int) -> None: ...
        def end(self, row: Any, epochs: int) -> None: ...
        def close(self) -> None: ...

    said: list[str] = []
    outcome = tiny(photos, tmp_path / "run", bundle=tmp_path / "wanted", watch=Meddler(), tell=said.append)
    assert outcome.bundle.folder == tmp_path / "run/models/food-basic"
    assert any("holds thesis.txt" in line for line in said)
    assert (tmp_path / "wanted" / "thesis.txt").read_text() == "mine"


class Stopping:
    """Ends a run after an epoch, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self._after = after

    def begin(self, epoch: int, epochs: int, photos: int) -> None: ...
    def advance(self, photos: int) -> None: ...
    def end(self, row: Any, epochs: int) -> None:
        if row["epoch"] == self._after:
            raise KeyboardInterrupt

    def close(self) -> None: ...


@BOTH
@pytest.mark.slow
def test_a_run_goes_on_with_its_photos_where_they_are_now(photos: Path, tmp_path: Path, backend: str) -> None:
    place = tmp_path / "run"
    with pytest.raises(InterruptedRun, match=f"--resume --run {place}"):
        tiny(photos, place, "training.epochs=3", watch=Stopping(after=1), backend=backend)
    assert run.read_run(place).record["status"] == "interrupted"
    moved = photos.rename(tmp_path / "moved")
    with pytest.raises(RunError, match="are elsewhere now, say where: --data"):
        resume(place)
    (moved / "a" / "0.jpg").rename(tmp_path / "0.jpg")
    with pytest.raises(RunError, match=r"begun on other photos than .*moved holds now"):
        resume(place, data=[moved])
    (tmp_path / "0.jpg").rename(moved / "a" / "0.jpg")
    outcome = resume(place, data=[moved])
    assert outcome.run.record["epochs"] == 3
    assert outcome.run.record["backend"] == backend
    assert outcome.run.record["data"] == [str(moved)]


@pytest.mark.slow
def test_what_a_run_does_not_take_is_refused(photos: Path, tmp_path: Path) -> None:
    place = tmp_path / "run"
    tiny(photos, place, "training.epochs=2")
    before = (place / "run.json").read_bytes()
    for setting, said in {
        "optimizer.learning_rate=1": "a run that goes on keeps its optimizer.learning_rate",
        "finetune.epochs=3": r"has no \[finetune\]",
        "training.epochs=1": "has trained 2 epochs already: 1 are fewer",
        "training.epochs=2": "has nothing more to train with training.epochs=2: it has 2 epochs",
    }.items():
        with pytest.raises(RunError, match=said):
            resume(place, settings=[setting])
    with pytest.raises(RunError, match="is finished: there is nothing to resume"):
        resume(place)
    assert (place / "run.json").read_bytes() == before


@pytest.mark.parametrize("backend", [pytest.param("keras", marks=pytest.mark.nightly), "scratch"])
@pytest.mark.slow
def test_a_finished_run_can_be_given_more_epochs(photos: Path, tmp_path: Path, backend: str) -> None:
    whole = tiny(photos, tmp_path / "whole", "training.epochs=4", backend=backend)
    tiny(photos, tmp_path / "run", "training.epochs=2", backend=backend)
    outcome = resume(tmp_path / "run", settings=["training.epochs=4"])
    assert outcome.run.record["epochs"] == 4
    assert outcome.run.record["status"] == "finished"
    figures = [[row["val_loss"] for row in one.run.load_history()] for one in (whole, outcome)]
    assert figures[0] == figures[1], "as if it had been begun with them"
    assert bundles.read_bundle(outcome.bundle.folder).card.recipe["settings"]["training"]["epochs"] == 4


@pytest.mark.slow
def test_a_run_is_trained_by_one(photos: Path, tmp_path: Path) -> None:
    place, caught = tmp_path / "run", []

    class Second:
        """Tries to go on with a run that is being trained."""

        def begin(self, epoch: int, epochs: int, photos: int) -> None:
            with pytest.raises(RunError, match=f"is being trained by process {os.getpid()} on ") as error:
                resume(place)
            caught.append(error)
            with pytest.raises(RunError, match=f"is being trained by process {os.getpid()} on "):
                run.newest_unfinished(tmp_path, None)

        def advance(self, photos: int) -> None: ...
        def end(self, row: Any, epochs: int) -> None: ...
        def close(self) -> None: ...

    tiny(photos, place, watch=Second())
    assert caught
    assert not (place / ".lock").exists()


def test_runs_begun_in_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    from datetime import datetime

    made: list[Path] = []
    begin = threading.Barrier(8)

    def make() -> None:
        begin.wait()
        made.append(run.new_folder(tmp_path, "food/basic", datetime(2026, 11, 21, 9, 5, 7)))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8
    assert {path.name for path in made} == {
        "20261121-090507-food-basic",
        *(f"20261121-090507-food-basic-{number}" for number in range(2, 9)),
    }


@pytest.mark.slow
def test_a_start_that_knows_the_labels_is_told(toy_bundle: Path, colours: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    train(
        "photos/few",
        colours,
        start=toy_bundle / "colours",
        settings=["training.epochs=1", "data.cross_validation=false"],
        run=tmp_path / "run",
        tell=lines.append,
    )
    assert any(
        "colours knows blue, green, red already. Where it learned from these very photos" in line for line in lines
    )
