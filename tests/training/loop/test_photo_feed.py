import keras
import numpy as np

from foodscene.training.loop.photo_feed import PhotoFeed
from tests.training.loop.test_loop import colours, tiny


def test_training_photos_come_in_another_order_each_epoch_and_the_same_one_each_time() -> None:
    photos = PhotoFeed(tiny(base="food/basic"), colours(), "fast", threads=1)
    first, again, other = (photos.training(epoch)[0] for epoch in (0, 0, 1))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_validation_photos_come_as_they_are() -> None:
    data = colours()
    batches = PhotoFeed(tiny("augmentation.rotation_range=90"), data, "fast", threads=1).validation()
    pixels, labels = (np.concatenate(part) for part in zip(*(batches[at] for at in range(len(batches))), strict=True))
    np.testing.assert_array_equal(pixels, data.pixels[data.validation])
    np.testing.assert_array_equal(labels.argmax(axis=1), data.labels[data.validation])


def test_answers_come_in_the_order_asked_for() -> None:
    data, pixels = colours(), keras.Input((12, 12, 3))
    means = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(pixels))
    photos, rows = PhotoFeed(tiny(), data, "fast", threads=1), np.array([40, 3, 77])
    np.testing.assert_allclose(photos.predict(means, rows), data.pixels[rows].mean(axis=(1, 2)), rtol=1e-5)
    assert photos.predict(means, rows[:0]).shape == (0, 3)
