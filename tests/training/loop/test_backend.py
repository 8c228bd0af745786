import keras
import numpy as np
import pytest

from foodscene.training.loop import backend
from tests.training.loop.test_batches import collected, make

ON_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's backend alone")
WAYS = [{}, {"augmentation": None}]  # batch by batch, and in one piece


@ON_TENSORFLOW
@pytest.mark.parametrize("options", WAYS)
def test_tensorflow_reads_the_batches_in_their_order(options: dict[str, None]) -> None:
    batches = make(**options)
    dataset = backend.fed(batches, 7)["x"]
    for _ in range(2):  # validation photos are read once an epoch
        read = list(dataset.as_numpy_iterator())
        assert [len(photos) for photos, _ in read] == [7, 7, 7, 1]
        for part, expected in zip(zip(*read, strict=True), collected(batches), strict=True):
            np.testing.assert_array_equal(np.concatenate(part), expected)
            assert part[0].dtype == expected.dtype


@ON_TENSORFLOW
@pytest.mark.parametrize("options", WAYS)
def test_tensorflow_knows_how_many_batches_there_are_and_tunes_nothing(options: dict[str, None]) -> None:
    dataset = backend.fed(make(**options), 7)["x"]
    assert int(dataset.cardinality()) == 4
    assert dataset.options().autotune.enabled is False


@pytest.mark.parametrize("options", WAYS)
def test_keras_fits_and_evaluates_what_it_is_fed(options: dict[str, None]) -> None:
    pixels = keras.Input((12, 16, 3))
    small = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(4, activation="softmax")(small))
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy")  # learns nothing: both see the same network
    batches = make(**options)
    photos, targets = collected(batches)
    told = model.predict(photos.astype(np.float32), verbose=0)
    expected = float(-np.log((told * targets).sum(axis=1)).mean())
    fitted = model.fit(**backend.fed(batches, 7), shuffle=False, verbose=0).history["loss"][0]
    assert fitted == pytest.approx(expected, rel=1e-4)
    assert model.evaluate(**backend.fed(batches, 7), verbose=0) == pytest.approx(fitted, rel=1e-4)


def test_answers_come_in_the_order_of_the_batches() -> None:
    pixels = keras.Input((12, 16, 3))
    means = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(pixels))
    photos, _ = collected(make())
    np.testing.assert_allclose(backend.predict(means, make(), 22), photos.mean(axis=(1, 2)), rtol=1e-5)
