"""Each layer that is known, with its options, answers in ONNX Runtime as it does in Keras."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foodscene.models.graph.layers import AT_REST, LAYERS
from foodscene.models.graph.options import ACTIVATIONS
from foodscene.models.graph.reader import read
from foodscene.models.graph.writer import write
from tests.models.graph.agreement import answer, assert_agrees, assert_close, drawn, photos, saved

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:The structure of `inputs`")
FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

IMAGE = (9, 10, 6)
SEQUENCE = (11, 6)
ONE: list[tuple[tuple[int, ...], Callable[..., Any]]] = [
    *[(IMAGE, lambda name=name: layers.Activation(name)) for name in sorted(ACTIVATIONS)],
    *[(IMAGE, lambda name=name: layers.Dense(4, activation=name)) for name in ("relu", "softmax", "gelu")],
    (IMAGE, lambda: layers.ActivityRegularization(0.1)),
    (IMAGE, lambda: layers.AlphaDropout(0.3)),
    (SEQUENCE, lambda: layers.AveragePooling1D(3, strides=2, padding="same")),
    (IMAGE, layers.BatchNormalization),
    (IMAGE, lambda: layers.BatchNormalization(axis=1, epsilon=0.1)),
    (IMAGE, lambda: layers.BatchNormalization(axis=2, scale=False)),
    ((7,), lambda: layers.BatchNormalization(center=False)),
    (SEQUENCE, lambda: layers.BatchNormalization(center=False, scale=False)),
    (IMAGE, lambda: layers.CenterCrop(5, 4)),
    (IMAGE, lambda: layers.CenterCrop(12, 8)),
    (SEQUENCE, lambda: layers.Conv1D(4, 3, padding="causal", dilation_rate=2)),
    (SEQUENCE, lambda: layers.Conv1D(4, 4, strides=2, padding="same", groups=2, activation="tanh")),
    (SEQUENCE, lambda: layers.Cropping1D((1, 2))),
    (IMAGE, lambda: layers.Cropping2D(((1, 2), (0, 3)))),
    ((5,), lambda: layers.Dense(3, use_bias=False)),
    (SEQUENCE, lambda: layers.Dense(3, activation="relu")),
    (SEQUENCE, lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, padding="same")),
    (IMAGE, lambda: layers.Dropout(0.3)),
    (IMAGE, lambda: layers.ELU(0.7)),
    (SEQUENCE, lambda: layers.EinsumDense("abc,cd->abd", (11, 5), bias_axes="d", activation="relu")),
    (SEQUENCE, lambda: layers.EinsumDense("abc,bd->adc", (4, 6), bias_axes="dc")),
    (IMAGE, lambda: layers.EinsumDense("...x,xy->...y", 3)),
    (IMAGE, layers.Flatten),
    (IMAGE, lambda: layers.Flatten(data_format="channels_first")),
    (IMAGE, lambda: layers.GaussianDropout(0.3)),
    (IMAGE, lambda: layers.GaussianNoise(0.3)),
    *[
        (IMAGE, lambda data=data, keep=keep: layers.GlobalAveragePooling2D(data_format=data, keepdims=keep))
        for data in ("channels_last", "channels_first")
        for keep in (True, False)
    ],
    *[
        (IMAGE, lambda data=data, keep=keep: layers.GlobalMaxPooling2D(data_format=data, keepdims=keep))
        for data in ("channels_last", "channels_first")
        for keep in (True, False)
    ],
    (SEQUENCE, layers.GlobalAveragePooling1D),
    (SEQUENCE, lambda: layers.GlobalMaxPooling1D(keepdims=True)),
    (IMAGE, lambda: layers.GroupNormalization(3)),
    (IMAGE, lambda: layers.GroupNormalization(-1, scale=False)),
    (IMAGE, lambda: layers.GroupNormalization(3, axis=1)),
    (IMAGE, layers.Identity),
    (IMAGE, layers.LayerNormalization),
    (IMAGE, lambda: layers.LayerNormalization(axis=[2, 3], epsilon=1e-6, center=False)),
    (IMAGE, lambda: layers.LayerNormalization(axis=1)),
    (IMAGE, lambda: layers.LayerNormalization(axis=[1, 2, 3], scale=False)),
    (IMAGE, lambda: layers.LeakyReLU(0.2)),
    (SEQUENCE, lambda: layers.MaxPooling1D(2, padding="same")),
    (IMAGE, lambda: layers.Normalization(mean=[1, 2, 3, 4, 5, 6], variance=[1, 2, 3, 4, 5, 6])),
    (IMAGE, lambda: layers.Normalization(mean=0.5, variance=2.0, axis=None, invert=True)),
    (IMAGE, layers.Normalization),
    (IMAGE, layers.PReLU),
    (IMAGE, lambda: layers.PReLU(shared_axes=[1, 2])),
    (IMAGE, lambda: layers.Permute((3, 1, 2))),
    (IMAGE, layers.RMSNormalization),
    (IMAGE, lambda: layers.RandomContrast(0.2)),
    (IMAGE, layers.RandomFlip),
    (IMAGE, lambda: layers.RandomRotation(0.2)),
    (IMAGE, lambda: layers.RandomTranslation(0.2, 0.2)),
    (IMAGE, lambda: layers.RandomZoom(0.2)),
    (IMAGE, layers.ReLU),
    (IMAGE, lambda: layers.ReLU(6)),
    (IMAGE, lambda: layers.ReLU(max_value=1.0, negative_slope=0.2)),
    (IMAGE, lambda: layers.ReLU(max_value=1.5, negative_slope=0.2, threshold=0.3)),
    (IMAGE, lambda: layers.ReLU(threshold=0.5)),
    ((5,), lambda: layers.RepeatVector(4)),
    (IMAGE, lambda: layers.Rescaling(1 / 127.5, -1)),
    (IMAGE, lambda: layers.Rescaling([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1])),
    (IMAGE, lambda: layers.Reshape((5, 18, 6))),
    (IMAGE, lambda: layers.Reshape((-1, 6))),
    (IMAGE, lambda: layers.Reshape((1, 1, 540))),
    (IMAGE, lambda: layers.Resizing(13, 7)),
    (IMAGE, lambda: layers.Resizing(13, 7, interpolation="nearest")),
    (IMAGE, lambda: layers.Resizing(18, 20, interpolation="bicubic")),
    (IMAGE, lambda: layers.Resizing(5, 9, crop_to_aspect_ratio=True)),
    (SEQUENCE, lambda: layers.SeparableConv1D(4, 3, depth_multiplier=2)),
    (IMAGE, layers.Softmax),
    (IMAGE, lambda: layers.Softmax(axis=1)),
    (IMAGE, lambda: layers.Softmax(axis=(1, 2))),
    (SEQUENCE, lambda: layers.SpatialDropout1D(0.2)),
    (IMAGE, lambda: layers.SpatialDropout2D(0.2)),
    (IMAGE, lambda: layers.SpectralNormalization(layers.Conv2D(4, 3))),
    (IMAGE, layers.UnitNormalization),
    (IMAGE, lambda: layers.UnitNormalization(axis=(1, 2))),
    (SEQUENCE, lambda: layers.UpSampling1D(3)),
    (IMAGE, lambda: layers.UpSampling2D((2, 3))),
    (IMAGE, lambda: layers.UpSampling2D(2, interpolation="bilinear")),
    (SEQUENCE, lambda: layers.ZeroPadding1D((1, 2))),
    (IMAGE, lambda: layers.ZeroPadding2D(((1, 2), (0, 3)))),
    (IMAGE, lambda: layers.ZeroPadding2D(2, data_format="channels_first")),
]


class Answers(NamedTuple):
    """What a layer answers in Keras, and what the graph of its file answers, in whatever way it was written."""

    keras: NDArray[np.float32]
    h5: NDArray[np.float32]
    archive: NDArray[np.float32]
    written: NDArray[np.float32]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Answers]:
    """All layers as branches of one network for each shape of input: a network each would take minutes."""
    folder = tmp_path_factory.mktemp("layers")
    found: dict[int, Answers] = {}
    for shape in dict.fromkeys(shape for shape, _ in ONE):
        inputs = keras.Input(shape)
        branches = {number: branch(inputs, make) for number, (given, make) in enumerate(ONE) if given == shape}
        model = drawn(keras.Model(inputs, layers.Concatenate()(list(branches.values()))))
        given = photos(model.input_shape)
        graph = read(saved(model, folder / "model.h5"))
        write(graph, folder / "written.h5")
        made = (
            np.asarray(model(given, training=False)),
            answer(graph, given),
            answer(read(saved(model, folder / "model.keras")), given),
            np.asarray(keras.models.load_model(folder / "written.h5", compile=False)(given, training=False)),
        )
        ends = np.cumsum([output.shape[-1] for output in branches.values()])[:-1]
        for number, *parts in zip(branches, *(np.split(array, ends, axis=1) for array in made), strict=True):
            found[number] = Answers(*parts)
    return found


def branch(inputs: Any, make: Callable[[], Any]) -> Any:
    """A layer alone, and between convolutions, so that it meets its input with the channels where ONNX has them."""
    alone = layers.Flatten()(make()(inputs))
    if len(inputs.shape) < 4:
        return alone
    x = make()(layers.Conv2D(inputs.shape[-1], 3, padding="same")(inputs))
    x = layers.Conv2D(2, 1)(x) if len(x.shape) == 4 else x
    return layers.Concatenate()([alone, layers.Flatten()(x)])


@pytest.mark.parametrize(
    "number", range(len(ONE)), ids=[f"{n}-{type(make()).__name__}" for n, (_, make) in enumerate(ONE)]
)
def test_layer(answers: dict[int, Answers], number: int) -> None:
    layer = answers[number]
    assert_close(layer.h5, layer.keras)
    assert_close(layer.archive, layer.keras)
    assert_close(layer.written, layer.keras)


def check(tmp_path: Path, inputs: Any, outputs: Any) -> None:
    model = drawn(keras.Model(inputs, outputs))
    given = photos(model.input_shape)
    graph = read(saved(model, tmp_path / "model.h5"))
    assert_agrees(graph, model, given)
    assert_agrees(read(saved(model, tmp_path / "model.keras")), model, given)
    write(graph, tmp_path / "written.h5")
    assert_agrees(graph, keras.models.load_model(tmp_path / "written.h5", compile=False), given)


MERGES = (layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply, layers.Subtract)


@pytest.mark.parametrize("merge", MERGES)
def test_merging_layers(tmp_path: Path, merge: type[Any]) -> None:
    inputs = keras.Input((8, 8, 4))
    left, right = layers.Conv2D(4, 1)(inputs), layers.Activation("tanh")(inputs)
    pooled = layers.GlobalAveragePooling2D()(left)
    more = [] if merge is layers.Subtract else [inputs]
    check(tmp_path, inputs, merge()([left, right, *more]))
    check(tmp_path, inputs, merge()([left, layers.Reshape((1, 1, 4))(pooled)]))
    check(tmp_path, inputs, merge()([left, pooled]))


@pytest.mark.parametrize("axis", [-1, 1, 2, 3])
def test_joined(tmp_path: Path, axis: int) -> None:
    inputs = keras.Input((8, 8, 4))
    left, right = layers.Conv2D(4, 1)(inputs), layers.Activation("tanh")(inputs)
    check(tmp_path, inputs, layers.Concatenate(axis=axis)([left, right, left]))


def test_a_dense_layer_that_leaves_a_size_open(tmp_path: Path) -> None:
    inputs = keras.Input((11, 6))
    check(tmp_path, inputs, layers.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d")(inputs))


def test_dot(tmp_path: Path) -> None:
    inputs = keras.Input((6, 4))
    right = layers.Dense(4)(inputs)
    flat = layers.GlobalAveragePooling1D()(inputs)
    check(tmp_path, inputs, layers.Dot(axes=2)([inputs, right]))
    check(tmp_path, inputs, layers.Dot(axes=(1, 1), normalize=True)([inputs, right]))
    check(tmp_path, inputs, layers.Dot(axes=1)([flat, layers.Dense(4)(flat)]))
    check(tmp_path, inputs, layers.Dot(axes=(2, 1))([inputs, flat]))


@pytest.mark.parametrize("use_bias", [True, False])
def test_attention(tmp_path: Path, use_bias: bool) -> None:
    inputs = keras.Input((6, 8))
    other = layers.Dense(5)(inputs)
    attention = layers.MultiHeadAttention(2, 3, value_dim=4, use_bias=use_bias, output_shape=7)
    check(tmp_path, inputs, attention(inputs, other))
    check(tmp_path, inputs, layers.MultiHeadAttention(2, 3, use_bias=use_bias)(inputs, inputs, inputs))
    check(tmp_path, inputs, layers.MultiHeadAttention(2, 3)(query=inputs, key=other, value=other))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[tuple[int, int, int], Any]:
    height, width, channels = draw(st.integers(5, 14)), draw(st.integers(5, 14)), draw(st.sampled_from([1, 2, 4]))
    kind = draw(st.sampled_from(["Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"]))
    stride = draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 2)) if stride == 1 and kind != "Conv2DTranspose" else 1
    window = st.integers(1, 3 if dilation > 1 else 4)
    size = draw(window) if kind != "Conv2D" else (draw(window), draw(window))
    options: dict[str, Any] = {
        "kernel_size": size,
        "strides": stride,
        "padding": draw(st.sampled_from(["valid", "same"])),
        "dilation_rate": dilation,
        "use_bias": draw(st.booleans()),
        "activation": draw(st.sampled_from([None, "relu", "softmax"])),
    }
    if kind != "DepthwiseConv2D":
        options["filters"] = draw(st.sampled_from([4, 6]))
    if kind in ("DepthwiseConv2D", "SeparableConv2D"):
        options["depth_multiplier"] = draw(st.integers(1, 3))
    if kind == "Conv2D" and options["filters"] % channels == 0:
        options["groups"] = draw(st.sampled_from([1, channels]))
    if kind == "Conv2DTranspose" and stride > 1 and options["padding"] == "valid":
        options["output_padding"] = draw(st.sampled_from([None, 0, 1]))
    elif kind == "Conv2DTranspose" and stride > 1 and size > stride and size % 2:  # else TensorFlow fails by itself
        options["output_padding"] = draw(st.sampled_from([None, stride - 1]))
    return (height, width, channels), getattr(layers, kind)(**options)


@given(case=convolutions(), norm=st.booleans(), border=st.integers(0, 2))
@FEW
def test_convolutions(tmp_path: Path, case: tuple[tuple[int, int, int], Any], norm: bool, border: int) -> None:
    shape, layer = case
    inputs = keras.Input(shape)
    x = layers.ZeroPadding2D(((border, 0), (1, border)))(inputs) if border else inputs
    x = layer(x)
    model = drawn(keras.Model(inputs, layers.BatchNormalization()(x) if norm else x))
    assert_agrees(read(saved(model, tmp_path / "model.h5")), model, photos(model.input_shape))


@given(
    kind=st.sampled_from(["MaxPooling2D", "AveragePooling2D"]),
    size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.one_of(st.none(), st.integers(1, 3)),
    padding=st.sampled_from(["valid", "same"]),
    sides=st.tuples(st.integers(3, 12), st.integers(3, 12)),
)
@FEW
def test_poolings(
    tmp_path: Path, kind: str, size: tuple[int, int], strides: int | None, padding: str, sides: tuple[int, int]
) -> None:
    inputs = keras.Input((*sides, 2))
    model = keras.Model(inputs, getattr(layers, kind)(size, strides, padding)(inputs))
    assert_agrees(read(saved(model, tmp_path / "model.h5")), model, photos(model.input_shape))


def test_channels_first_answers_as_channels_last_of_the_same_photo(tmp_path: Path) -> None:
    # TensorFlow convolves with channels first on GPUs alone; so the same network, turned, says what is right.
    def network(data_format: str) -> keras.Model:
        inputs = keras.Input((9, 8, 3))
        x = inputs if data_format == "channels_last" else layers.Permute((3, 1, 2))(inputs)
        x = layers.ZeroPadding2D(1, data_format=data_format)(x)
        x = layers.Conv2D(4, 3, strides=2, padding="same", data_format=data_format, activation="relu")(x)
        x = layers.BatchNormalization(axis=-1 if data_format == "channels_last" else 1)(x)
        x = layers.DepthwiseConv2D(3, data_format=data_format)(x)
        x = layers.MaxPooling2D(2, padding="same", data_format=data_format)(x)
        x = layers.UpSampling2D(2, data_format=data_format)(x)
        x = layers.Flatten(data_format=data_format)(x)
        return keras.Model(inputs, layers.Dense(3)(x))

    first, last = drawn(network("channels_first")), drawn(network("channels_last"))
    assert_agrees(read(saved(first, tmp_path / "model.h5")), last, photos(last.input_shape))


def test_every_known_layer_is_tested() -> None:
    tested = {type(make()).__name__ for _, make in ONE} | {merge.__name__ for merge in MERGES}
    tested |= {"Concatenate", "Dot", "MultiHeadAttention", "Conv2D", "DepthwiseConv2D", "SeparableConv2D"}
    tested |= {"Conv2DTranspose", "MaxPooling2D", "AveragePooling2D"}
    elsewhere = {"LayerScale"}  # of keras.applications.ConvNeXt, see test_families
    assert set(LAYERS) - tested == elsewhere


# Keras 3 has RandomHeight and RandomWidth no more, and newer versions have more of these.
@pytest.mark.parametrize("name", sorted(name for name in AT_REST if hasattr(layers, name)))
def test_what_augments_is_nothing_when_a_network_answers(tmp_path: Path, name: str) -> None:
    given = {"RandomPosterization": {"factor": 4}, "GaussianNoise": {"stddev": 0.1}, "ActivityRegularization": {}}
    single = ("RandomColorDegeneration", "RandomHue", "RandomSaturation", "RandomSharpness", "RandomBrightness")
    options = given.get(name, {"factor": 0.1} if name in (*single, "RandomContrast", "RandomRotation") else {})
    options |= {
        "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1},
        "RandomZoom": {"height_factor": 0.1},
    }.get(name, {})
    inputs = keras.Input((8, 9, 3))
    model = keras.Model(inputs, getattr(layers, name)(**options)(inputs) * 2)
    read_back = read(saved(model, tmp_path / "model.keras"))  # not all of these can be saved in an .h5
    given_photos = photos(model.input_shape)
    np.testing.assert_allclose(answer(read_back, given_photos), given_photos * 2, atol=1e-5)


def test_operations(tmp_path: Path) -> None:
    ops = keras.ops
    i = keras.Input((8, 8, 3))
    x = ops.multiply(ops.add(i, 1.0), np.array([1, 2, 3], dtype=np.float32)) / 2 - i
    x = layers.Conv2D(3, 1)(ops.clip(x, -1, 1))
    x = (
        x * ops.mean(x, axis=[1, 2], keepdims=True)
        + ops.max(x, axis=-1, keepdims=True)
        - ops.sum(i, axis=3, keepdims=True)
    )
    x = ops.maximum(ops.minimum(x, 3.0), ops.negative(x)) ** 2
    x = ops.where(x > 0.5, x, ops.cast(x * 3, "int32"))
    x = ops.relu6(x[..., ::-1]) + ops.cast(x > 1, "float32") + ops.cast(ops.less_equal(x, 0.2), "float32")
    x = ops.stack([x[..., 2], x[..., 1], x[..., 0]], axis=-1) + ops.stack([x[:, 0]] * 8, axis=1)
    x = ops.concatenate([x, ops.square(x)], axis=-1)
    x = ops.transpose(x, (0, 3, 1, 2))
    x = ops.reshape(x, (-1, 6, 64))
    x = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
    x = ops.sqrt(ops.absolute(x)) + ops.rsqrt(ops.exp(x * 0.01)) + ops.arctan(ops.sign(x)) + ops.log(ops.abs(x) + 2.0)
    x = (
        ops.silu(x)
        + ops.gelu(x, approximate=False)
        + ops.sigmoid(x)
        + ops.tanh(x)
        + ops.floor(x)
        + ops.reciprocal(x + 9)
    )
    x = ops.expand_dims(x, -1)
    x = ops.squeeze(x, -1)[:, 1:5:2, 3]
    check(tmp_path, i, ops.softmax(1.0 / (x + 5)))


@pytest.mark.parametrize("family", ["vgg16", "resnet_v2", "densenet"])
def test_what_prepares_pixels_for_a_family_is_read_as_a_layer(tmp_path: Path, family: str) -> None:
    inputs = keras.Input((8, 8, 3))
    x = getattr(keras.applications, family).preprocess_input(inputs)
    check(tmp_path, inputs, layers.Conv2D(3, 3)(x))


@pytest.mark.parametrize("pooling", ["MaxPooling2D", "AveragePooling2D"])
def test_zeros_around_a_pooling_count_as_zeros(tmp_path: Path, pooling: str) -> None:
    inputs = keras.Input((9, 9, 3))
    x = layers.ZeroPadding2D(2)(layers.Conv2D(4, 3)(inputs))  # with values below zero at the border
    check(tmp_path, inputs, getattr(layers, pooling)(3, 2)(x))
