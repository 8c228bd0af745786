"""A graph is written as an `.h5` that Keras loads and that answers the same."""

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from foodscene.models.bundle import SHIPPED
from foodscene.models.graph.reader import read
from foodscene.models.graph.writer import write
from tests.models.graph.agreement import answer, assert_agrees, assert_close, drawn, photos, saved

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:The structure of `inputs`")


@pytest.mark.parametrize("name", ["everyday", "objects", "scenes-cnn"])
def test_shipped_bundles(tmp_path: Path, name: str) -> None:
    graph = read(SHIPPED / name / "model.h5")
    given = np.random.default_rng(0).uniform(0, 255, (4, *graph.input_shape[1:])).astype(np.float32)  # type: ignore[arg-type]
    write(graph, tmp_path / "model.h5")
    assert_close(answer(read(tmp_path / "model.h5"), given), answer(graph, given), 1e-6)
    assert_agrees(graph, keras.models.load_model(tmp_path / "model.h5", compile=False), given)


@pytest.mark.slow
def test_vgg16(tmp_path: Path) -> None:
    model = drawn(keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), include_top=False, pooling="avg"))
    graph = read(saved(model, tmp_path / "model.h5"))
    write(graph, tmp_path / "written.h5")
    assert_agrees(graph, keras.models.load_model(tmp_path / "written.h5", compile=False), photos(model.input_shape))


def test_weights_keep_their_type(tmp_path: Path) -> None:
    graph = read(SHIPPED / "everyday" / "model.h5")
    write(graph, tmp_path / "model.h5")
    types = [{weight.dtype for layer in read(tmp_path / "model.h5").layers for weight in layer.weights.values()}]
    assert types == [{weight.dtype for layer in graph.layers for weight in layer.weights.values()}]
    assert np.dtype(np.float16) in types[0]


def test_only_what_older_keras_knows_is_said(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs))
    model = drawn(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    write(read(saved(model, tmp_path / "model.h5")), tmp_path / "written.h5")
    with h5py.File(tmp_path / "written.h5") as file:
        config = json.loads(file.attrs["model_config"])["config"]
    assert config["input_layers"] == [[config["layers"][0]["name"], 0, 0]]
    said = {key for layer in config["layers"] for key in layer["config"]}
    assert not said & {"quantization_config", "optional", "input_axes", "output_axes", "keepdims", "batch_shape"}


def test_a_layer_that_is_called_twice_has_its_weights_once(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    model = drawn(keras.Model(inputs, layers.Add()([shared(inputs), shared(layers.ReLU()(shared(inputs)))])))
    graph = read(saved(model, tmp_path / "model.h5"))
    write(graph, tmp_path / "written.h5")
    again = keras.models.load_model(tmp_path / "written.h5", compile=False)
    assert again.count_params() == model.count_params()
    assert_agrees(graph, again, photos(model.input_shape))


def test_layer_scale_of_convnext_is_written_as_a_layer_of_keras(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 4))
    scale = keras.src.applications.convnext.LayerScale(0.3, 4)
    model = drawn(keras.Model(inputs, scale(layers.Conv2D(4, 1)(inputs))))
    graph = read(saved(model, tmp_path / "model.h5"))
    write(graph, tmp_path / "written.h5")
    assert_agrees(graph, model, photos(model.input_shape))
    assert_agrees(graph, keras.models.load_model(tmp_path / "written.h5", compile=False), photos(model.input_shape))


def test_more_layers_than_hdf5_lists_in_one_piece(tmp_path: Path) -> None:
    inputs = x = keras.Input((2,))
    for number in range(130):
        x = layers.Dense(2, name=f"{'long' * 120}_{number}")(x)
    model = keras.Model(inputs, x)
    graph = read(saved(model, tmp_path / "model.h5"))
    write(graph, tmp_path / "written.h5")
    assert_agrees(graph, keras.models.load_model(tmp_path / "written.h5", compile=False), photos((None, 2)))
