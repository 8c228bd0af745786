import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError
from foodscene.models.saving import Trained
from foodscene.training import networks
from foodscene.training.augmentation import standardization
from foodscene.training.data.load import Data
from foodscene.training.loop import loop, scratch
from foodscene.training.loop.result import Result, TrainingError
from foodscene.training.loop.teacher import TeacherError
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.runs import run
from foodscene.training.runs.run import Row, Run
from foodscene.training.scratch import recipes as scratch_recipes
from foodscene.training.scratch.network import Network
from foodscene.training.scratch.recipes import UnsupportedError

pytestmark = pytest.mark.slow

BOTH = pytest.mark.parametrize("train", [loop.train, scratch.train], ids=["keras", "scratch"])
"""What holds of one backend holds of the other."""

TINY = [
    "input.size=12",
    "model.filters=[8]",
    "model.dropout=0.1",
    "training.epochs=3",
    "training.batch_size=16",
    "optimizer.learning_rate=0.01",
]


class Nobody:
    def begin(self, epoch: int, epochs: int, photos: int) -> None: ...
    def advance(self, photos: int) -> None: ...
    def end(self, row: Row, epochs: int) -> None: ...


class Stopping(Nobody):
    """Presses Ctrl-C within an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def begin(self, epoch: int, epochs: int, photos: int) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


def colours(count: int = 90, size: int = 12, noise: int = 100) -> Data:
    """Red, green and blue pictures, predicted apart by their mean."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    pixels = rng.integers(0, noise, (count, size, size, 3), dtype=np.uint8)
    pixels[np.arange(count), :, :, labels] += 60
    rows = np.arange(count)
    return Data(
        name="colours",
        layout="folder",
        classes=("red", "green", "blue"),
        fingerprint="0",
        names=[str(row) for row in rows],
        pixels=pixels,
        labels=labels.astype(np.int64),
        train=rows[: count // 3 * 2],
        validation=rows[count // 3 * 2 : count // 6 * 5],
        test=rows[count // 6 * 5 :],
        groups=rows,
        dropped=0,
    )


def tiny(*settings: str, base: str = "food/augmented") -> Recipe:
    return recipes.load(base, [*TINY, *settings])


def fit(
    folder: Path,
    recipe: Recipe,
    watch: Any = None,
    data: Data | None = None,
    train: Callable[..., Result] = loop.train,
    **options: Any,
) -> tuple[Run, Result]:
    work = run.read_run(folder) if (folder / "run.json").exists() else run.create(folder, {})
    return work, train(recipe, data or colours(), work, watch or Nobody(), threads=1, **options)


def answers(result: Result, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
    if isinstance(result.model, Trained):
        return result.model.predict(photos)
    return np.asarray(result.model.predict(photos.astype("float32"), verbose=0))


@BOTH
@pytest.mark.slow
def test_a_network_learns_and_is_the_one_of_the_best_epoch(tmp_path: Path, train: Callable[..., Result]) -> None:
    recipe = tiny("input.scale=unit", "training.epochs=12", "optimizer.learning_rate=0.05", base="food/basic")
    data = colours()
    work, result = fit(tmp_path, recipe, data=data, train=train)
    assert (result.probabilities.argmax(axis=1) == data.labels[data.test]).mean() > 0.8
    assert result.best["val_loss"] == min(row["val_loss"] for row in result.history)
    assert [row["epoch"] for row in result.history] == list(range(1, 13))
    assert work.record["parameters"] == sum(weight.size for weight in work.load_best())
    np.testing.assert_allclose(answers(result, data.pixels[data.test]), result.probabilities, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "settings"),
    [
        (loop.train, []),
        (loop.train, ["optimizer.average=0.9", "schedule.kind=cosine", "training.accumulate=2"]),
        (scratch.train, []),
        (scratch.train, ["optimizer.average=0.9", "schedule.kind=cosine", "model.batch_norm=true"]),
    ],
)
def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_weights(
    tmp_path: Path, train: Callable[..., Result], settings: list[str]
) -> None:
    recipe = tiny(*settings)
    _, whole = fit(tmp_path / "whole", recipe, train=train)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "broken", recipe, Stopping(epoch=3), train=train)
    _, resumed = fit(tmp_path / "broken", recipe, train=train)
    assert len(resumed.history) == 3
    np.testing.assert_array_equal(whole.probabilities, resumed.probabilities)
    first, second = (run.read_run(tmp_path / name) for name in ("whole", "broken"))
    for one, other in [
        (first.load_best(), second.load_best()),
        (first.load_checkpoint()[0], second.load_checkpoint()[0]),
    ]:
        assert all((a == b).all() for a, b in zip(one, other, strict=True))


@BOTH
@pytest.mark.slow
def test_an_average_of_the_weights_is_what_is_saved(tmp_path: Path, train: Callable[..., Result]) -> None:
    work, _ = fit(tmp_path, tiny("optimizer.average=0.9", "training.epochs=1"), train=train)
    best, (state, _) = work.load_best(), work.load_checkpoint()
    assert not (best[0] == state[0]).all()
    if train is scratch.train:  # which keeps the average of all in one piece
        assert any(array.shape == (sum(weight.size for weight in best),) for array in state)
        np.testing.assert_array_equal(np.concatenate([weight.ravel() for weight in best]), state[-2])
    else:
        assert any(array.shape == state[0].shape and (array == best[0]).all() for array in state)


@BOTH
@pytest.mark.slow
def test_the_last_epoch_is_kept_where_the_recipe_says_so(tmp_path: Path, train: Callable[..., Result]) -> None:
    data = colours()
    # Nothing can be learned from labels that were drawn, so that the validation loss goes up and down.
    drawn = Data(**{**data.__dict__, "labels": np.random.default_rng(1).integers(0, 3, len(data.labels))})
    recipe = tiny("training.keep=last", "training.epochs=6", "optimizer.learning_rate=0.1")
    work, result = fit(tmp_path, recipe, data=drawn, train=train)
    assert min(row["val_loss"] for row in result.history) < result.history[-1]["val_loss"]
    assert result.best["epoch"] == 6
    state, _ = work.load_checkpoint()
    np.testing.assert_array_equal(work.load_best()[0], state[0])


@pytest.mark.slow
@pytest.mark.parametrize("base", [pytest.param("mnist/two-layers", marks=pytest.mark.nightly), "food/augmented"])
def test_several_steps_at_once_are_the_same_steps(tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ["input.channels=3"] if base.startswith("mnist") else ["model.filters=[8]", "model.dropout=0.1"]
    small = ["input.size=12", "training.epochs=2", "training.batch_size=8", *own]
    _, several = fit(tmp_path / "several", recipes.load(base, small))
    monkeypatch.setattr(loop, "_STEPS", 1)
    _, single = fit(tmp_path / "single", recipes.load(base, small))
    assert several.history[-1]["loss"] == single.history[-1]["loss"]
    for one, other in zip(several.model.get_weights(), single.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("base", [pytest.param("mnist/two-layers", marks=pytest.mark.nightly), "food/basic"])
def test_photos_in_one_piece_train_as_those_in_batches_do(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["input.size=12", "input.channels=3", "training.epochs=2", "training.batch_size=8"]
    _, whole = fit(tmp_path / "whole", recipes.load(base, small))
    monkeypatch.setattr("foodscene.training.loop.batches._WHOLE", 0)
    _, batches = fit(tmp_path / "batches", recipes.load(base, small))
    for one, other in zip(whole.model.get_weights(), batches.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@BOTH
def test_a_loss_that_is_no_number_stops_with_advice(tmp_path: Path, train: Callable[..., Result]) -> None:
    recipe = tiny("optimizer.name=sgd", "optimizer.learning_rate=1e30")
    with pytest.raises(TrainingError, match=r"epoch 1.*--set optimizer.learning_rate=1e\+29"):
        fit(tmp_path, recipe, train=train)
    assert not (tmp_path / "checkpoint.npz").exists()


@BOTH
def test_no_thread_outlives_an_epoch_that_an_error_broke_off(tmp_path: Path, train: Callable[..., Result]) -> None:
    class Breaking(Nobody):
        def advance(self, photos: int) -> None:
            raise OSError("no space left")

    before = set(threading.enumerate())
    recipe = tiny("training.batch_size=1", "training.epochs=1")
    with pytest.raises(OSError, match="no space"):
        fit(tmp_path, recipe, Breaking(), colours(3000), train=train)
    left = [one for one in set(threading.enumerate()) - before if one.name.startswith("batches")]
    for thread in left:
        thread.join(timeout=5)
    assert not any(thread.is_alive() for thread in left)


def test_memory_that_is_used_up_brings_a_smaller_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes")

    monkeypatch.setattr(keras.Model, "fit", exhausted)
    with pytest.raises(TrainingError, match=r"training\.batch_size=8 --set training\.accumulate=2"):
        fit(tmp_path, tiny())


def test_numpy_s_way_to_say_so_brings_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 99 GiB for an array")

    monkeypatch.setattr(Network, "step", exhausted)
    with pytest.raises(TrainingError, match=r"batches of 16.*training\.batch_size=8"):
        fit(tmp_path, tiny(), train=scratch.train)


@BOTH
@pytest.mark.slow
def test_early_stopping_ends_a_run_and_restores_the_best(tmp_path: Path, train: Callable[..., Result]) -> None:
    recipe = tiny("training.epochs=30", "optimizer.learning_rate=0.3", "early_stopping.patience=1", "seed=1")
    data = colours()
    work, result = fit(tmp_path, recipe, data=data, train=train)
    assert len(result.history) < 30
    assert result.best is min(result.history, key=lambda row: row["val_loss"])
    assert result.best["epoch"] < len(result.history), "else nothing shows which epoch's weights are kept"
    state, _ = work.load_checkpoint()
    assert not (work.load_best()[0] == state[0]).all()
    np.testing.assert_allclose(answers(result, data.pixels[data.test]), result.probabilities, atol=1e-6)


def test_another_network_s_checkpoint_is_refused(tmp_path: Path) -> None:
    fit(tmp_path, tiny("training.epochs=1"), train=scratch.train)
    with pytest.raises(TrainingError, match="does not fit its recipe"):
        fit(tmp_path, tiny("model.filters=[8, 9]"), train=scratch.train)
    with pytest.raises(TrainingError, match="does not fit its recipe"):
        fit(tmp_path, tiny(), train=loop.train)


def test_what_the_library_lacks_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"model\.residual"):
        fit(tmp_path, tiny("model.residual=true"), train=scratch.train)
    assert not (tmp_path / "checkpoint.npz").exists()


@BOTH
def test_a_photo_that_is_used_up_is_told_before_the_first_epoch(tmp_path: Path, train: Callable[..., Result]) -> None:
    with pytest.raises(FoodsceneError, match="smaller kernel or stride, padding same, or larger photos"):
        fit(tmp_path, tiny("model.padding=valid", "model.filters=[4, 4, 4, 4]"), train=train)
    assert not (tmp_path / "checkpoint.npz").exists()


@pytest.mark.slow
def test_both_backends_learn_alike_from_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batches, altered alike, and so the same losses; dropout alone would draw differently."""
    recipe = tiny("input.scale=unit", "model.dropout=0.0", "schedule.kind=halving", "schedule.every=1")
    data = colours(300)
    _, theirs = fit(tmp_path / "keras", recipe, data=data)
    drawn = networks.build(recipe, 3, standardization.layers(recipe.augmentation, data.pixels, np.arange(0)))
    real = scratch_recipes.network

    def same_weights(recipe: Recipe, classes: int) -> Network:
        network = real(recipe, classes)
        network.set_weights(drawn.get_weights())
        return network

    monkeypatch.setattr(scratch_recipes, "network", same_weights)
    _, ours = fit(tmp_path / "scratch", recipe, data=data, train=scratch.train)
    for key in ("loss", "val_loss", "top1", "val_top1", "learning_rate"):
        assert [row[key] for row in ours.history] == pytest.approx([row[key] for row in theirs.history], rel=1e-3)
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-3)
    assert ours.temperature == pytest.approx(theirs.temperature, rel=1e-2)


def transfer(*settings: str) -> Recipe:
    small = ["input.size=32", "model.backbone=MobileNet", "model.dense=[8]", "training.epochs=2"]
    return recipes.load("food/vgg16-48", [*small, "training.batch_size=16", *settings])


class Knowing:
    """A teacher who sees which colour a picture has."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, photos: NDArray[Any]) -> NDArray[np.float32]:
        self.asked += len(photos)
        return np.eye(3, dtype=np.float32)[photos.mean(axis=(1, 2)).argmax(axis=1)]


@BOTH
@pytest.mark.slow
def test_from_a_teacher_a_network_learns_what_its_labels_do_not_say(
    tmp_path: Path, train: Callable[..., Result]
) -> None:
    data = colours()
    mislabelled = data.labels.copy()
    mislabelled[data.train] = (data.labels[data.train] + 1) % 3
    recipe = tiny("input.scale=unit", "training.epochs=12", "optimizer.learning_rate=0.05", base="food/basic")
    _, result = fit(tmp_path, recipe, data=replace(data, labels=mislabelled), teacher=Knowing(), train=train)
    assert (result.probabilities.argmax(axis=1) == data.labels[data.test]).mean() > 0.8


@BOTH
def test_a_recipe_that_learns_from_a_teacher_wants_one(tmp_path: Path, train: Callable[..., Result]) -> None:
    with pytest.raises(TeacherError, match="--teacher BUNDLE"):
        fit(tmp_path, tiny("teacher.temperature=2.0"), train=train)


@pytest.mark.nightly
def test_a_teacher_is_asked_where_features_would_be_cached_too(tmp_path: Path) -> None:
    data, teacher = colours(48, 32), Knowing()
    fit(tmp_path, transfer(), data=data, weights="none", teacher=teacher)
    assert teacher.asked >= 2 * len(data.train)


@pytest.mark.nightly
def test_cached_features_train_the_head_as_the_photos_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = colours(48, 32)
    work, cached = fit(tmp_path / "cached", transfer(), data=data, weights="none")
    assert len(work.load_checkpoint()[0]) < len(cached.model.weights)  # the backbone is not written after every epoch
    monkeypatch.setattr("foodscene.training.loop.feeds.cacheable", lambda _: False)
    _, plain = fit(tmp_path / "plain", transfer(), data=data, weights="none")
    assert cached.history[0]["val_loss"] == pytest.approx(plain.history[0]["val_loss"], rel=0.05)
    np.testing.assert_array_equal(
        cached.model.get_layer("conv1").get_weights()[0], plain.model.get_layer("conv1").get_weights()[0]
    )
    assert cached.probabilities.shape == (8, 3)


@pytest.mark.nightly
@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_fine_tuning_follows_the_head_and_resumes(epoch: int, tmp_path: Path) -> None:
    recipe = transfer("finetune.epochs=2", "finetune.unfreeze=3")
    data = colours(48, 32)
    _, whole = fit(tmp_path / "whole", recipe, data=data, weights="none")
    assert [row["phase"] for row in whole.history] == ["train"] * 2 + ["finetune"] * 2
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "broken", recipe, Stopping(epoch=epoch), data=data, weights="none")
    _, resumed = fit(tmp_path / "broken", recipe, data=data, weights="none")
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rare_classes_weigh_more_where_asked(tmp_path: Path) -> None:
    data = colours()
    common = np.flatnonzero(data.labels != 2)
    uneven = Data(**{**data.__dict__, "train": np.append(common[:40], 2)})
    _, plain = fit(tmp_path / "plain", tiny(), data=uneven)
    _, balanced = fit(tmp_path / "balanced", tiny("training.class_weights=balanced"), data=uneven)
    assert balanced.probabilities[:, 2].mean() > plain.probabilities[:, 2].mean()


def test_half_precision_is_saved_as_float32(tmp_path: Path) -> None:
    try:
        _, result = fit(tmp_path, tiny("training.precision=mixed_bfloat16", "training.epochs=1"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in result.model.layers} == {"float32"}
