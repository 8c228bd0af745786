"""The temperature: found, built into the model, kept by the saved file."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from foodscene.models.bundle import Bundle
from foodscene.models.engine import open_engine
from foodscene.training.data.load import Data
from foodscene.training.evaluation import calibration, inference, metrics
from foodscene.training.evaluation.outputs import Looking
from foodscene.training.networks import temperature


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def test_finds_the_temperature_that_logits_were_sharpened_by() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 6)) * 2
    honest = softmax(logits)
    targets = (honest.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1).clip(max=5)
    too_sure = softmax(logits * 2.5)
    assert calibration.fit(too_sure, targets) == pytest.approx(2.5, rel=0.05)

    def error(probabilities: NDArray[np.float32]) -> float:
        right = probabilities.argmax(axis=1) == targets
        return metrics.calibration_error(metrics.reliability(probabilities, right))

    assert error(too_sure) > 0.1
    assert error(calibration.temper(too_sure, calibration.fit(too_sure, targets))) < 0.02


def test_few_photos_all_told_rightly_do_not_make_a_network_as_sure_as_can_be() -> None:
    probabilities = np.tile(np.array([[0.8, 0.1, 0.1]], np.float32), (20, 1))
    temperature = calibration.fit(probabilities, np.zeros(20, np.int64))
    assert 0.3 < temperature < 1
    assert calibration.fit(np.tile(probabilities, (100, 1)), np.zeros(2000, np.int64)) < temperature


def test_nothing_to_fit_on_is_refused() -> None:
    with pytest.raises(calibration.CalibrationError, match="no validation photos"):
        calibration.fit(np.empty((0, 3), np.float32), np.empty(0, np.int64))


def ends() -> dict[str, keras.Model]:
    """A network for each way in which one may end in a softmax."""
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(inputs)
    logits = keras.layers.Dense(3)(x)
    return {
        "dense": keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="output")(x)),
        "activation": keras.Model(inputs, keras.layers.Activation("softmax")(logits)),
        "softmax": keras.Model(inputs, keras.layers.Softmax()(logits)),
        "a network at the end": keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                keras.layers.Rescaling(0.5),
                keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x)),
            ]
        ),
        "sequential": keras.Sequential(
            [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
        ),
    }


@pytest.mark.parametrize("end", ["dense", "activation", "softmax", "a network at the end", "sequential"])
def test_the_saved_model_carries_it(end: str, tmp_path: Path) -> None:
    model = ends()[end]
    photos = np.random.default_rng(0).uniform(0, 3, (5, 4, 4, 1)).astype(np.float32)
    before = np.asarray(model(photos))
    temperature.calibrated(model, 1.7).save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5", compile=False)
    assert temperature.temperature_of(loaded) == pytest.approx(1.7)
    assert np.asarray(loaded(photos)) == pytest.approx(calibration.temper(before, 1.7), abs=1e-5)
    again = temperature.calibrated(loaded, 0.5)
    assert temperature.temperature_of(again) == pytest.approx(0.85)
    assert np.asarray(again(photos)) == pytest.approx(calibration.temper(before, 0.85), abs=1e-5)


@pytest.mark.slow
def test_the_shipped_model_of_the_intel_archive_is_better_calibrated_than_without(
    scenes_cnn: Bundle, scenes: Data
) -> None:
    kept = temperature.temperature_of(keras.models.load_model(scenes_cnn.model, compile=False))
    assert kept != 1.0, "the saved .h5 carries a temperature"
    calm = inference.evaluate(Looking(scenes_cnn, open_engine(scenes_cnn, threads=1)), scenes, scenes.test)
    raw = replace(calm, probabilities=calibration.temper(calm.probabilities, 1 / kept))
    assert calm.calibration_error < raw.calibration_error
    assert calm.loss < raw.loss
    assert (calm.predicted == raw.predicted).all()


def test_a_model_without_softmax_is_refused() -> None:
    inputs = keras.Input((4,))
    with pytest.raises(temperature.TemperatureError, match="without a softmax"):
        temperature.calibrated(keras.Model(inputs, keras.layers.Dense(2, "sigmoid")(inputs)), 2.0)
    assert temperature.temperature_of(keras.Model(inputs, keras.layers.Dense(2)(inputs))) == 1.0
