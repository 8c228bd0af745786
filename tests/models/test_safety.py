"""What an `.h5` model is made of, read without running any of it."""

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from foodscene.models.safety import LAYERS, UnsafeModel, inspect


def write(path: Path, config: Any, **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs.update(attributes)
    return path


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    start = {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 9, 3], "name": "input"}}
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [start, *layers]}}


def test_listed_layers_are_keras_own() -> None:
    assert all(issubclass(getattr(keras.layers, name), keras.layers.Layer) for name in LAYERS)
    assert not LAYERS & {"Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "StringLookup"}


def test_reads_what_keras_wrote(tmp_path: Path) -> None:
    inputs = keras.Input((8, 9, 3))
    hidden = keras.layers.Rescaling([1 / 255] * 3, [0.1, 0.2, 0.3])(inputs)
    hidden = keras.layers.Conv2D(4, 3, kernel_regularizer="l2", kernel_initializer="he_normal", activation="relu")(
        hidden
    )
    branch = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.Add()([hidden, branch])
    inner = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.2, seed=1)])
    outputs = keras.layers.Dense(2, activation="softmax")(inner(hidden))
    keras.Model(inputs, outputs).save(tmp_path / "model.h5", include_optimizer=False)
    found = inspect(tmp_path / "model.h5")
    assert found.input_shape == (8, 9, 3)
    assert {"Rescaling", "Conv2D", "Add", "Dropout", "Dense"} <= set(found.layers)
    assert found.keras_version == keras.__version__


def test_every_backbone_of_keras_applications_in_use_is_accepted(tmp_path: Path) -> None:
    keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35).save(tmp_path / "model.h5")
    assert "DepthwiseConv2D" in inspect(tmp_path / "model.h5").layers


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (
            {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wA="}}}},
            "Lambda",
        ),
        ({"class_name": "TFOpLambda", "config": {"function": "os.system"}}, "TFOpLambda"),
        ({"class_name": "MyLayer", "config": {}, "module": "builtins", "registered_name": "mine>MyLayer"}, "MyLayer"),
        ({"class_name": "Dense", "config": {}, "module": "os", "registered_name": None}, "os"),
        (
            {"class_name": "Dense", "config": {}, "module": "keras.layers", "registered_name": "mine>Dense"},
            "mine>Dense",
        ),
        (
            {"class_name": "Dense", "config": {"activation": {"class_name": "function", "config": "get_file"}}},
            "function",
        ),
        ({"class_name": "Dense", "config": {"activation": {"class_name": ["Dense"], "config": 1}}}, "Dense"),
        ({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}, "StringLookup"),
        ({"class_name": "TFSMLayer", "config": {"filepath": "elsewhere"}}, "TFSMLayer"),
    ],
)
def test_foreign_objects_are_refused_by_name(tmp_path: Path, layer: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsafeModel, match=named):
        inspect(write(tmp_path / "model.h5", sequential(layer)))
    nested = sequential({"class_name": "Functional", "config": {"layers": [layer]}})
    with pytest.raises(UnsafeModel, match=named):
        inspect(write(tmp_path / "model.h5", nested))


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["values"] = np.ones(3)
    path = write(tmp_path / "model.h5", sequential())
    for link in (h5py.ExternalLink(str(secret), "/values"), h5py.SoftLink("/elsewhere")):
        with h5py.File(path, "a") as file:
            file.require_group("model_weights/dense")["kernel"] = link
        with pytest.raises(UnsafeModel, match="link"):
            inspect(path)
        with h5py.File(path, "a") as file:
            del file["model_weights"]


def test_storage_out_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"password")
    path = write(tmp_path / "model.h5", sequential())
    with h5py.File(path, "a") as file:
        file.create_dataset("kernel", (8,), "u1", external=[(str(tmp_path / "secret"), 0, 8)])
    with pytest.raises(UnsafeModel, match="outside"):
        inspect(path)
    write(path, sequential())
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "values", (3,))
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("kernel", layout)
    with pytest.raises(UnsafeModel, match="outside"):
        inspect(path)


def test_file_that_announces_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model.h5", sequential())
    with h5py.File(path, "a") as file:
        file.create_dataset("kernel", (100_000, 100_000), "f4", chunks=True, compression="gzip")
    with pytest.raises(UnsafeModel, match="announces"):
        inspect(path)


@pytest.mark.parametrize(
    "kind", [np.dtype((np.void, 2**20)), np.dtype((np.float32, (65536,))), h5py.special_dtype(vlen=np.float64)]
)
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, kind: Any) -> None:
    path = write(tmp_path / "model.h5", sequential())
    with h5py.File(path, "a") as file:
        file.create_dataset("kernel", (100,), kind)
    with pytest.raises(UnsafeModel, match="weights are numbers"):
        inspect(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "x" * 20_000_000])
def test_configurations_without_end_are_refused(tmp_path: Path, text: str) -> None:
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = text
    with pytest.raises(UnsafeModel, match="model_config"):
        inspect(tmp_path / "model.h5")


def test_groups_that_hold_themselves_are_read_once(tmp_path: Path) -> None:
    path = write(tmp_path / "model.h5", sequential({"class_name": "Flatten", "config": {}}))
    with h5py.File(path, "a") as file:
        file.create_group("loop")["again"] = file["/"]
    assert inspect(path).layers == ("InputLayer", "Flatten")


def test_files_without_a_model_are_refused(tmp_path: Path) -> None:
    junk = tmp_path / "junk.h5"
    junk.write_bytes(b"not HDF5 at all")
    with pytest.raises(UnsafeModel, match="HDF5"):
        inspect(junk)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["kernel"] = np.ones(3)
    with pytest.raises(UnsafeModel, match="whole model"):
        inspect(tmp_path / "weights.h5")
    with pytest.raises(UnsafeModel, match="layers"):
        inspect(write(tmp_path / "empty.h5", {"class_name": "Sequential", "config": {}}))
    with h5py.File(tmp_path / "broken.h5", "w") as file:
        file.attrs["model_config"] = "{"
    with pytest.raises(UnsafeModel, match="JSON"):
        inspect(tmp_path / "broken.h5")
    truncated = tmp_path / "truncated.h5"
    truncated.write_bytes(write(tmp_path / "whole.h5", sequential()).read_bytes()[:500])
    with pytest.raises(UnsafeModel, match="HDF5"):
        inspect(truncated)
