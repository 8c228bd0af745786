"""What a network sees, on one that looks for a bright spot."""

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from foodscene.training.evaluation import explanation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spotter() -> keras.Model:
    """Two classes: the more bright red there is, the surer of the second."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    x = keras.layers.MaxPooling2D(4)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(x))
    kernel = np.zeros((3, 3, 3, 4))
    kernel[:, :, 0, 0] = 1
    kernel[:, :, 1:, 0] = -1
    model.get_layer("first").set_weights([kernel, np.zeros(4)])
    dense = np.zeros((4, 2))
    dense[0, 1] = 1
    model.layers[-1].set_weights([dense, np.array([1.0, 0])])
    return model


@pytest.fixture
def spot() -> np.ndarray:
    photo = np.full((32, 32, 3), 60, np.uint8)
    photo[4:12, 20:28] = (250, 10, 10)
    return photo


def test_grad_cam_finds_the_spot(spotter: keras.Model, spot: np.ndarray) -> None:
    heat, against_it = explanation.grad_cam(spotter, np.stack([spot, spot]), [1, 0])
    assert heat.shape == (32, 32)
    assert heat.min() >= 0
    assert heat.max() <= 1
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 4 <= row < 12
    assert 20 <= column < 28
    assert heat[20:, :16].max() < 0.1
    assert against_it.max() < 0.1, "nothing speaks for the other label"


def test_pictures_of_kernels_and_maps(spotter: keras.Model, spot: np.ndarray) -> None:
    kernels = explanation.filters(spotter)
    assert kernels.title == "first: 4 of 4 kernels"
    assert Image.open(BytesIO(kernels.png)).size == (4 * 68 - 4, 64)
    (maps,) = explanation.feature_maps(spotter, spot)
    assert maps.title == "first: 4 of 4 maps, 32 x 32"
    liveliest = np.asarray(Image.open(BytesIO(maps.png)).convert("RGB"))[:, :64].astype(int)
    # Viridis ends in yellow: the spot, twice as large here, is where the map is highest.
    assert liveliest[16, 48, 0] > 200 > liveliest[48, 16, 0]
    both = Image.open(BytesIO(explanation.overlaid(spot, explanation.grad_cam(spotter, spot[None], [1])[0])))
    assert both.size == (64, 32)


def test_a_network_within_the_network_is_looked_into(spotter: keras.Model, spot: np.ndarray) -> None:
    body = keras.Model(spotter.input, spotter.layers[-3].output, name="body")
    nested = keras.Sequential([body, *spotter.layers[-2:]])
    assert isinstance(nested.layers[0], keras.Model)
    assert explanation.filters(nested).png == explanation.filters(spotter).png
    assert explanation.filters(nested).title == "body.first: 4 of 4 kernels"
    assert explanation.feature_maps(nested, spot)[0].png == explanation.feature_maps(spotter, spot)[0].png
    heats = [explanation.grad_cam(model, spot[None], [1]) for model in (nested, spotter)]
    assert heats[0] == pytest.approx(heats[1], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.nightly), "torch"])
def test_grad_cam_is_the_same_on_every_backend(
    backend: str, spotter: keras.Model, spot: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip(backend)
    spotter.save(tmp_path / "model.h5")
    np.save(tmp_path / "spot.npy", spot)
    code = (
        "import keras, numpy as np, sys; from foodscene.training.evaluation import explanation; "
        "model = keras.models.load_model('model.h5', compile=False); "
        f"assert keras.backend.backend() == '{backend}'; "
        "np.save('heat.npy', explanation.grad_cam(model, np.load('spot.npy')[None], [1])); "
        "explanation.feature_maps(model, np.load('spot.npy'))"
    )
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True, timeout=120)
    here = explanation.grad_cam(spotter, spot[None], [1])
    assert np.load(tmp_path / "heat.npy") == pytest.approx(here, abs=1e-4)


def test_maps_of_a_single_pixel_are_not_shown() -> None:
    inputs = keras.Input((3, 3, 1))
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(x))
    assert explanation.feature_maps(model, np.zeros((3, 3, 1), np.uint8)) == []


def test_dense_networks_have_nothing_to_show() -> None:
    inputs = keras.Input((4, 4, 1))
    dense = keras.Model(inputs, keras.layers.Dense(2, "softmax")(keras.layers.Flatten()(inputs)))
    with pytest.raises(explanation.ExplanationError, match="no convolutions"):
        explanation.filters(dense)
    flat = np.zeros((1, 4, 4, 1), np.uint8)
    with pytest.raises(explanation.ExplanationError, match="no convolutions"):
        explanation.grad_cam(dense, flat, [0])
