from pathlib import Path

import keras
import numpy as np
import pytest

from foodscene.models.half_precision import halve_h5


@pytest.fixture
def model() -> keras.Model:
    """A dense layer whose kernel half precision holds, and one whose kernel it does not."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32,))
    x = keras.layers.Dense(64, name="halves")(pixels)
    built = keras.Model(pixels, keras.layers.Dense(40, name="thirds")(x))
    kernel, bias = built.get_layer("halves").get_weights()
    built.get_layer("halves").set_weights([kernel.astype(np.float16).astype(np.float32), bias])
    return built


def test_an_h5_is_smaller_and_loads_to_the_same_weights(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    model.save(path, include_optimizer=False)
    before = path.stat().st_size
    halve_h5(path)
    assert before - path.stat().st_size >= 32 * 64 * 2
    loaded = keras.models.load_model(path, compile=False)
    assert [weight.dtype for weight in loaded.weights] == ["float32"] * 4
    for kept, weight in zip(loaded.get_weights(), model.get_weights(), strict=True):
        assert (kept == weight).all()
    assert loaded.get_config() == model.get_config()
    assert [file.name for file in tmp_path.iterdir()] == ["model.h5"]


def test_weights_beyond_half_precisions_range_stay(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(64)])
    model.layers[0].set_weights([np.full((32, 64), 70_000, np.float32), np.zeros(64, np.float32)])
    path = tmp_path / "model.h5"
    model.save(path, include_optimizer=False)
    halve_h5(path)
    assert (keras.models.load_model(path, compile=False).get_weights()[0] == 70_000).all()
