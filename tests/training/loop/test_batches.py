import threading
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from foodscene.training.loop import devices
from foodscene.training.loop.batches import Batches
from foodscene.training.recipes.augmentation import Augmentation

ALTERING = Augmentation(rotation_range=90, horizontal_flip=True, channel_shift_range=20.0, probability=0.8)


def make(**options: Any) -> Batches:
    """Batches of 7 of 22 of 30 made-up photos, each of a brightness of its own."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 12, 16, 3), dtype=np.uint8)
    defaults = {"classes": 4, "batch_size": 7, "augmentation": ALTERING, "seed": 3, "shuffle": True, "threads": 2}
    return Batches(pixels, np.arange(30) % 4, np.arange(4, 26), **(defaults | options))


def collected(batches: Batches) -> tuple[NDArray[Any], NDArray[Any]]:
    photos, labels = zip(*batches, strict=True)
    return np.concatenate(photos), np.concatenate(labels)


def test_without_augmentation_photos_come_as_they_are() -> None:
    batches = make(augmentation=None, shuffle=False)
    photos, labels = collected(batches)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 12, 16, 3), dtype=np.uint8)
    assert photos.dtype == np.uint8
    assert labels.dtype == np.float32
    assert (photos == pixels[4:26]).all()
    assert (labels == np.eye(4)[np.arange(4, 26) % 4]).all()
    assert [len(photos) for photos, _ in batches] == [7, 7, 7, 1]


def test_an_epoch_has_every_photo_once_with_its_label_and_the_next_another_order() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 12, 16, 3), dtype=np.uint8)
    orders = []
    for epoch in (0, 1):
        photos, labels = collected(make(augmentation=None, epoch=epoch))
        order = [int(np.flatnonzero((pixels == photo).all((1, 2, 3)))[0]) for photo in photos]
        assert sorted(order) == list(range(4, 26))
        assert (labels.argmax(1) == np.array(order) % 4).all()
        orders.append(order)
    assert orders[0] != orders[1]


def test_an_epoch_in_one_piece_is_its_batches() -> None:
    batches = make(augmentation=None, epoch=2)
    whole = batches.whole()
    assert whole
    for part, expected in zip(whole, collected(batches), strict=True):
        assert part.dtype == expected.dtype
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("altered", [{}, {"augmentation": None, "mixup": 0.2}, {"augmentation": None, "outliers": 0.2}])
def test_altered_photos_come_in_batches_alone(altered: dict[str, Any]) -> None:
    assert make(**altered).whole() is None


def test_many_photos_come_in_batches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foodscene.training.loop.batches._WHOLE", 21 * 12 * 16 * 3)
    assert make(augmentation=None).whole() is None


@pytest.mark.parametrize("engine", ["fast", "keras"])
def test_the_same_whatever_the_number_of_threads_and_what_was_asked_for_before(engine: str) -> None:
    photos, labels = collected(make(engine=engine, threads=1, epoch=5))
    many = make(engine=engine, threads=4, epoch=5)
    assert (collected(many)[0] == photos).all()
    assert (many[2][0] == photos[14:21]).all()
    assert (many[0][1] == labels[:7]).all()
    many.on_epoch_begin()
    for index in (3, 0, 0, 2):
        assert (many[index][0] == photos[7 * index : 7 * index + 7]).all()
    many.on_epoch_end()
    many.epoch = 6
    assert (many[0][0] != photos[:7]).any()
    many.epoch = 5
    assert (many[0][0] == photos[:7]).all()


def test_both_engines_make_the_same_batches() -> None:
    fast, keras_ = collected(make()), collected(make(engine="keras"))
    assert keras_[0].dtype == np.float32
    assert (fast[1] == keras_[1]).all()
    # Noise from pixel to pixel, finer than any photo's: the fixed-point warp is a little farther off than on photos.
    assert np.abs(fast[0] - keras_[0]).mean() < 2


def test_mixup_is_the_same_whatever_the_number_of_threads_and_another_in_each_epoch() -> None:
    photos, labels = collected(make(mixup=0.5, threads=1))
    again = collected(make(mixup=0.5, threads=4))
    assert (again[0] == photos).all()
    assert (again[1] == labels).all()
    assert (collected(make(mixup=0.5, epoch=1))[1] != labels).any()
    assert ((labels > 0).sum(1) == 2).any()


def test_outliers_come_beside_the_photos() -> None:
    photos, labels = collected(make(outliers=0.25, threads=1))
    again = collected(make(outliers=0.25, threads=4))
    assert len(photos) == 22 + 2 + 2 + 2 + 1
    assert (again[0] == photos).all()
    assert (labels == 0.25).all(axis=1).sum() == 7


def test_half_of_the_outliers_are_photos_where_there_are_some() -> None:
    white = np.full((3, *make()[0][0].shape[1:]), 255, np.uint8)
    photos, labels = collected(make(outliers=1, outlier_photos=white, threads=1))
    again = collected(make(outliers=1, outlier_photos=white, threads=4))
    assert (again[0] == photos).all()
    outliers = photos[(labels == 0.25).all(axis=1)]
    whitish = (outliers > 250).all(axis=(1, 2, 3))
    assert len(outliers) == 22
    assert 4 < whitish.sum() < 18


def test_an_epoch_goes_through_the_memory_of_a_few_batches() -> None:
    batches = make(batch_size=1)
    places = {photos.ctypes.data for photos, _ in batches}
    assert len(batches) == 22
    assert len(places) <= 2 + 2 + 2  # in the threads' hands, waiting, and on the way


def test_batches_that_are_kept_stay_as_they_are() -> None:
    kept = list(make(batch_size=1, epoch=5))
    assert (np.concatenate([photos for photos, _ in kept]) == collected(make(epoch=5))[0]).all()


def test_no_batch_beyond_the_last() -> None:
    with pytest.raises(IndexError):
        make()[4]


def test_what_fails_in_a_thread_fails_in_the_open() -> None:
    with pytest.raises(IndexError):
        collected(make(classes=2))


def model() -> keras.Model:
    inputs = keras.Input((12, 16, 3))
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    made = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(hidden))
    made.compile("sgd", "categorical_crossentropy")
    return made


def test_keras_trains_on_them_and_no_thread_stays() -> None:
    trained = model()
    plain = devices.even(make(augmentation=None, shuffle=False))
    trained.fit(devices.even(make()), validation_data=plain, epochs=3, verbose=0)
    assert trained.predict(devices.even(make()), verbose=0).shape == (22, 4)
    for _ in make():
        break  # an epoch that is broken off
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches") and _lives(thread)]


def _lives(thread: threading.Thread) -> bool:
    thread.join(timeout=5)
    return thread.is_alive()


def test_bytes_and_floats_train_alike() -> None:
    losses = []
    for dtype in (np.uint8, np.float32):
        keras.utils.set_random_seed(0)
        photos, labels = collected(make())
        losses.append(model().fit(photos.astype(dtype), labels, shuffle=False, verbose=0).history["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
