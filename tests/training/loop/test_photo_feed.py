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


def test_a_pass_may_take_several_epochs_and_has_each_photo_once() -> None:
    data = colours()
    photos = PhotoFeed(tiny("training.epochs_per_pass=3", base="food/basic"), data, "fast", threads=1)

    def seen(epoch: int) -> list[bytes]:
        batches = photos.training(epoch)
        return [photo.tobytes() for index in range(len(batches)) for photo in batches[index][0]]

    first = [seen(epoch) for epoch in range(3)]
    assert [photos.training(epoch).photos for epoch in range(3)] == [len(part) for part in first]
    assert sorted(photo for part in first for photo in part) == sorted(data.pixels[row].tobytes() for row in data.train)
    assert max(map(len, first)) - min(map(len, first)) <= 1
    assert seen(0) == first[0]
    assert sorted(seen(3)) != sorted(first[0]), "the next pass is divided anew"
