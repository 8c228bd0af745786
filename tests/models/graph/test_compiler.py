"""What a graph is compiled to."""

from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from foodscene.models.graph.compiler import FEATURES, INPUT, OUTPUT, compile_graph
from foodscene.models.graph.features import features_of
from foodscene.models.graph.graph import ModelRefused
from foodscene.models.graph.reader import read
from tests.models.graph.agreement import assert_close, drawn, photos, saved

pytestmark = pytest.mark.slow

layers = keras.layers


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def test_batch_normalizations_are_folded_and_nothing_is_turned_between_convolutions(tmp_path: Path) -> None:
    model = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=4)
    found = kinds(compile_graph(read(saved(drawn(model), tmp_path / "model.h5"))))
    assert found["BatchNormalization"] == 0
    assert found["Pad"] == 0
    assert found["Transpose"] == 1
    assert found["Conv"] == 52


def test_features_are_a_second_output(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    model = drawn(keras.Model(inputs, layers.Dense(3, activation="softmax")(features)))
    graph = read(saved(model, tmp_path / "model.h5"))
    node = features_of(graph)
    assert node is graph.output.sources[0]
    compiled = compile_graph(graph, features=node, metadata={"labels": "a\nb\nc"})
    onnx.checker.check_model(compiled, full_check=True)
    session = onnxruntime.InferenceSession(compiled.SerializeToString())
    given = photos(model.input_shape)
    output, found = session.run([OUTPUT, FEATURES], {INPUT: given})
    both = keras.Model(inputs, [model.output, features])(given)
    assert_close(output, np.asarray(both[0]))
    assert_close(found, np.asarray(both[1]))
    assert session.get_modelmeta().custom_metadata_map == {"labels": "a\nb\nc"}


@pytest.mark.parametrize("count", [1, 7])
def test_a_batch_has_any_size(tmp_path: Path, count: int) -> None:
    inputs = keras.Input((8, 8, 3))
    x: Any = layers.Reshape((-1, 3))(layers.Conv2D(3, 3)(inputs))
    model = drawn(keras.Model(inputs, layers.Flatten()(layers.MultiHeadAttention(2, 3)(x, x))))
    compiled = compile_graph(read(saved(model, tmp_path / "model.h5")))
    given = photos(model.input_shape, count=count)
    (output,) = onnxruntime.InferenceSession(compiled.SerializeToString()).run(None, {INPUT: given})
    assert_close(output, np.asarray(model(given)))


def test_an_open_size_that_onnx_needs_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, padding="same")(inputs)))
    with pytest.raises(ModelRefused, match="size is left open"):
        compile_graph(read(saved(model, tmp_path / "model.h5")))
