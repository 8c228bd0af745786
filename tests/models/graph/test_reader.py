"""Models of every version of Keras are read as they are meant, and what foodscene does not know is refused by name."""

import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from foodscene.models.graph.graph import ModelRefused
from foodscene.models.graph.reader import outline, read
from tests.models.graph.agreement import answer, assert_agrees, assert_close, drawn, photos, saved
from tests.models.graph.files import entry, functional, sequential, write_h5

layers = keras.layers


def network() -> keras.Model:
    return drawn(
        keras.Sequential(
            [
                keras.Input((8, 9, 3)),
                layers.Conv2D(4, (3, 2), strides=2, padding="same", activation="relu", name="conv"),
                layers.BatchNormalization(name="norm", epsilon=1e-3),
                layers.MaxPooling2D(2, name="pool"),
                layers.Flatten(name="flat"),
                layers.Dropout(0.3, name="drop"),
                layers.Dense(5, activation="softmax", name="dense"),
            ]
        )
    )


def test_keras_1(tmp_path: Path) -> None:
    model = network()
    kernel, bias = model.get_layer("conv").get_weights()
    gamma, beta, mean, variance = model.get_layer("norm").get_weights()
    dense, offset = model.get_layer("dense").get_weights()
    first = entry("Convolution2D", "conv", batch_input_shape=[None, 8, 9, 3], nb_filter=4, nb_row=3, nb_col=2)
    first["config"] |= {"subsample": [2, 2], "border_mode": "same", "dim_ordering": "tf", "activation": "relu"}
    config = {
        "class_name": "Sequential",
        "config": [
            first | {"config": first["config"] | {"bias": True, "init": "glorot_uniform", "W_regularizer": None}},
            entry("BatchNormalization", "norm", epsilon=1e-3, mode=0, axis=-1, momentum=0.99),
            entry("MaxPooling2D", "pool", pool_size=[2, 2], strides=None, border_mode="valid", dim_ordering="tf"),
            entry("Flatten", "flat"),
            entry("Dropout", "drop", p=0.3),
            entry("Dense", "dense", output_dim=5, activation="softmax", bias=True, input_dim=None),
        ],
    }
    groups = {
        "conv": {"conv_W:0": kernel, "conv_b:0": bias},
        "norm": {
            "norm_gamma:0": gamma,
            "norm_beta:0": beta,
            "norm_running_mean:0": mean,
            "norm_running_std:0": variance,
        },
        "dense": {"dense_W:0": dense, "dense_b:0": offset},
    }
    graph = read(write_h5(tmp_path / "model.h5", config, groups, "1.2.2"))
    assert_agrees(graph, model, photos(model.input_shape))


def test_kernels_as_theano_keeps_them(tmp_path: Path) -> None:
    model = drawn(keras.Sequential([keras.Input((8, 9, 3)), layers.Conv2D(4, 3, name="conv")]))
    kernel, bias = model.get_layer("conv").get_weights()
    conv = entry("Conv2D", "conv", batch_input_shape=[None, 8, 9, 3], filters=4, kernel_size=[3, 3])
    config = {"class_name": "Sequential", "config": {"name": "model", "layers": [conv]}}
    flipped = {"conv": {"conv/kernel:0": kernel[::-1, ::-1], "conv/bias:0": bias}}
    graph = read(write_h5(tmp_path / "model.h5", config, flipped, "2.0.8", backend="theano"))
    assert_agrees(graph, model, photos(model.input_shape))


def test_keras_2_with_what_keras_3_refuses(tmp_path: Path) -> None:
    # `groups` of a depthwise convolution, slashes in names, a TensorFlow function between layers, a cut by index.
    inputs = keras.Input((8, 9, 3))
    x = inputs / 127.5
    x = layers.DepthwiseConv2D(3, name="deep", use_bias=False)(x - 1.0)
    x = layers.Reshape((6, 7, 3))(x[..., ::-1])
    model = drawn(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)))
    divided = entry("TFOpLambda", "tf.math.truediv", function="math.truediv")
    divided["inbound_nodes"] = [["in", 0, 0, {"y": 127.5, "name": None}]]
    shifted = entry("TFOpLambda", "tf.math.subtract", function="math.subtract")
    shifted["inbound_nodes"] = [["tf.math.truediv", 0, 0, {"y": 1.0, "name": None}]]
    cut = entry("SlicingOpLambda", "tf.getitem", function="__operators__.getitem")
    index = [{"start": None, "stop": None, "step": None}] * 3 + [{"start": None, "stop": None, "step": -1}]
    cut["inbound_nodes"] = [["stem/deep", 0, 0, {"slice_spec": index}]]
    config = functional(
        entry("InputLayer", "in", batch_input_shape=[None, 8, 9, 3], sparse=False, ragged=False),
        divided,
        shifted,
        entry("DepthwiseConv2D", "stem/deep", "tf.math.subtract", kernel_size=[3, 3], groups=1, use_bias=False),
        cut,
        entry("Reshape", "reshape", "tf.getitem", target_shape=[6, 7, 3]),
        entry("GlobalAveragePooling2D", "pool", "reshape"),
        output="pool",
    )
    groups = {"stem/deep": {"stem/deep/depthwise_kernel:0": model.get_layer("deep").get_weights()[0]}}
    assert_agrees(read(write_h5(tmp_path / "model.h5", config, groups)), model, photos(model.input_shape))


def test_a_random_crop_of_keras_2_is_a_resizing_when_it_answers(tmp_path: Path) -> None:
    config = sequential(entry("RandomCrop", "crop", height=4, width=6, seed=None), shape=(None, 8, 9, 3))
    graph = read(write_h5(tmp_path / "model.h5", config, version="2.9.0"))
    given = photos((None, 8, 9, 3))
    assert_close(answer(graph, given), np.asarray(keras.layers.Resizing(4, 6, crop_to_aspect_ratio=True)(given)), 1e-4)


def test_an_archive_of_keras_2_calls_the_parts_of_an_attention_otherwise(tmp_path: Path) -> None:
    inputs = keras.Input((6, 4))
    model = drawn(keras.Model(inputs, keras.layers.MultiHeadAttention(2, 3)(inputs, inputs)))
    with (
        zipfile.ZipFile(saved(model, tmp_path / "new.keras")) as new,
        zipfile.ZipFile(tmp_path / "old.keras", "w") as old,
    ):
        for name in new.namelist():
            content = new.read(name)
            if name == "model.weights.h5":
                (tmp_path / name).write_bytes(content)
                with h5py.File(tmp_path / name, "r+") as file:
                    attention = file["layers/multi_head_attention"]
                    for part in ("query_dense", "key_dense", "value_dense", "output_dense"):
                        attention.move(part, f"_{part}")
                content = (tmp_path / name).read_bytes()
            old.writestr(name, content)
    assert_agrees(read(tmp_path / "old.keras"), model, photos((None, 6, 4)))


def test_nested_models_and_layers_called_twice(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization()])
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1)(inputs)
    shared = layers.Conv2D(4, 1)
    x = layers.Add()([shared(inner(x)), shared(inner(layers.ReLU()(x)))])
    model = drawn(keras.Model(inputs, keras.Sequential([layers.Flatten(), layers.Dense(3)])(x)))
    given = photos(model.input_shape)
    for name in ("model.h5", "model.keras"):
        graph = read(saved(model, tmp_path / name))
        assert_agrees(graph, model, given)
    assert graph.version == keras.__version__


def test_outline_is_the_graph_without_its_weights(tmp_path: Path) -> None:
    path = saved(network(), tmp_path / "model.h5")
    graph = outline(path)
    assert [layer.kind for layer in graph.layers] == [layer.kind for layer in read(path).layers]
    assert graph.output_shape == (None, 5)
    assert not any(layer.weights for layer in graph.layers)


def test_open_sides_are_those_that_are_given(tmp_path: Path) -> None:
    inputs = keras.Input((None, None, 3))
    model = drawn(keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, padding="same")(inputs))))
    path = saved(model, tmp_path / "model.h5")
    assert outline(path).input_shape == (None, None, None, 3)
    graph = read(path, sides=(12, 10))
    assert graph.input_shape == (None, 12, 10, 3)
    assert_agrees(graph, model, photos(graph.input_shape))


def test_half_precision_weights_are_read(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).normal(0, 1, (3, 2)).astype(np.float16)
    config = sequential(entry("Dense", units=2, use_bias=False), shape=(None, 3))
    graph = read(write_h5(tmp_path / "model.h5", config, {"dense": {"dense/kernel:0": kernel}}))
    given = photos((None, 3))
    assert_close(answer(graph, given), given @ kernel.astype(np.float32))


FOREIGN: list[tuple[dict[str, Any], str]] = [
    (entry("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wA="}}), "Lambda.*carry code"),
    (entry("TFOpLambda", function="os.system"), r"os\.system"),
    (entry("MyLayer") | {"module": "builtins", "registered_name": "mine>MyLayer"}, "MyLayer"),
    (entry("Dense", units=2) | {"module": "os"}, "'os'"),
    (entry("Dense", units=2) | {"module": "keras.layers", "registered_name": "mine>Dense"}, "mine>Dense"),
    (entry("Dense", units=2, activation={"class_name": "function", "config": "get_file"}), "get_file"),
    (entry("Dense", units=2, activation={"class_name": ["Dense"], "config": 1}), "activation"),
    (entry("Dense", units=2, activation="eval"), "eval"),
    (entry("Dense", units=2, brightness=3), "brightness"),
    (entry("Dense", units=2**40), "units"),
    (entry("StringLookup", vocabulary="/etc/passwd"), "StringLookup.*photos"),
    (entry("LSTM", units=3), "LSTM.*photos"),
    (entry("TFSMLayer", filepath="elsewhere"), "TFSMLayer"),
    (entry("Conv2D", filters=2, kernel_size=[30, 30]), "smaller than the window"),
    (entry("UpSampling2D", size=[30000, 30000]), "values"),
    (
        entry("Dense", units=2, dtype={"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}}),
        "int8",
    ),
]


@pytest.mark.parametrize(("layer", "named"), FOREIGN, ids=[named for _, named in FOREIGN])
def test_what_is_not_known_is_refused_by_name(tmp_path: Path, layer: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelRefused, match=named):
        outline(write_h5(tmp_path / "model.h5", sequential(layer)))
    nested = sequential({"class_name": "Sequential", "config": {"name": "inner", "layers": [layer]}})
    with pytest.raises(ModelRefused, match=named):
        outline(write_h5(tmp_path / "model.h5", nested))


def test_models_that_are_no_chain_of_layers_are_refused(tmp_path: Path) -> None:
    first = entry("InputLayer", "in", batch_input_shape=[None, 4, 4, 3])
    circle = functional(first, entry("ReLU", "a", "b"), entry("ReLU", "b", "a"), output="b")
    with pytest.raises(ModelRefused, match="its own answer"):
        outline(write_h5(tmp_path / "model.h5", circle))
    nowhere = functional(first, entry("ReLU", "a", "gone"), output="a")
    with pytest.raises(ModelRefused, match="'gone'"):
        outline(write_h5(tmp_path / "model.h5", nowhere))
    with pytest.raises(ModelRefused, match="Subclassed"):
        outline(write_h5(tmp_path / "model.h5", {"class_name": "Subclassed", "config": {}}))
    two = functional(first, entry("ReLU", "a", "in"), output="a")
    two["config"]["output_layers"].append(["in", 0, 0])
    with pytest.raises(ModelRefused, match="2 outputs"):
        outline(write_h5(tmp_path / "model.h5", two))
    config: dict[str, Any] = sequential(entry("ReLU"))
    for _ in range(40):
        config = {"class_name": "Sequential", "config": {"name": "deep", "layers": [config]}}
    with pytest.raises(ModelRefused, match="deep"):
        outline(write_h5(tmp_path / "model.h5", config))


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["values"] = np.ones(3)
    for link in (h5py.ExternalLink(str(secret), "/values"), h5py.SoftLink("/elsewhere")):
        path = write_h5(tmp_path / "model.h5", sequential(entry("Flatten")))
        with h5py.File(path, "a") as file:
            file.require_group("model_weights/dense")["kernel"] = link
        with pytest.raises(ModelRefused, match="link"):
            outline(path)


def test_storage_out_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"password")
    path = write_h5(tmp_path / "model.h5", sequential(entry("Flatten")))
    with h5py.File(path, "a") as file:
        file.create_dataset("kernel", (8,), "u1", external=[(str(tmp_path / "secret"), 0, 8)])
    with pytest.raises(ModelRefused, match="outside"):
        outline(path)
    write_h5(path, sequential(entry("Flatten")))
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "values", (3,))
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("kernel", layout)
    with pytest.raises(ModelRefused, match="outside"):
        outline(path)


def test_file_that_announces_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "model.h5", sequential(entry("Flatten")))
    with h5py.File(path, "a") as file:
        file.create_dataset("kernel", (100_000, 100_000), "f4", chunks=True, compression="gzip")
    with pytest.raises(ModelRefused, match="announces"):
        outline(path)


def test_groups_that_hold_themselves_are_read_once(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "model.h5", sequential(entry("Flatten")))
    with h5py.File(path, "a") as file:
        file.create_group("loop")["again"] = file["/"]
    assert outline(path).output_shape == (None, 216)


def test_files_without_a_model_are_refused(tmp_path: Path) -> None:
    junk = tmp_path / "junk.h5"
    junk.write_bytes(b"not HDF5 at all")
    with pytest.raises(ModelRefused, match="HDF5"):
        read(junk)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["kernel"] = np.ones(3)
    with pytest.raises(ModelRefused, match="whole model"):
        read(tmp_path / "weights.h5")
    with pytest.raises(ModelRefused, match="layers"):
        read(write_h5(tmp_path / "empty.h5", {"class_name": "Sequential", "config": {}}))
    with pytest.raises(ModelRefused, match="JSON"):
        read(write_h5(tmp_path / "broken.h5", "{"))
    with pytest.raises(ModelRefused, match="missing"):
        read(write_h5(tmp_path / "bare.h5", sequential(entry("Dense", units=3))))
    cut = tmp_path / "cut.h5"
    cut.write_bytes((tmp_path / "bare.h5").read_bytes()[:500])
    with pytest.raises(ModelRefused, match="HDF5"):
        read(cut)
    archive = tmp_path / "model.keras"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(ModelRefused, match=r"\.keras archive"):
        read(archive)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.h5")


def test_weights_of_another_shape_or_of_no_numbers_are_refused(tmp_path: Path) -> None:
    config = sequential(entry("Dense", units=2, use_bias=False), shape=(None, 3))
    for kernel, why in (
        (np.ones((2, 3), np.float32), "shape"),
        (np.full((3, 2), np.nan, np.float32), "finite"),
        (np.array([[b"a", b"b"]] * 3), "numbers"),
    ):
        with pytest.raises(ModelRefused, match=why):
            read(write_h5(tmp_path / "model.h5", config, {"dense": {"dense/kernel:0": kernel}}))


@pytest.mark.parametrize(
    "kind", [np.dtype((np.void, 2**20)), np.dtype((np.float32, (65536,))), h5py.special_dtype(vlen=np.float64)]
)
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, kind: Any) -> None:
    path = write_h5(tmp_path / "model.h5", sequential(entry("Flatten")))
    with h5py.File(path, "a") as file:
        file.create_dataset("kernel", (100,), kind)
    with pytest.raises(ModelRefused, match="weights are numbers"):
        outline(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "x" * 20_000_000])
def test_configurations_without_end_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelRefused, match="model_config"):
        outline(write_h5(tmp_path / "model.h5", text))
