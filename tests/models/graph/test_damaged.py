"""Damaged and doctored files are refused with a sentence, soon and in little memory; or they are still whole."""

import json
import resource
import time
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foodscene.models.graph.compiler import compile_graph
from foodscene.models.graph.graph import ModelRefused
from foodscene.models.graph.reader import read
from tests.models.graph.agreement import drawn, saved

pytestmark = pytest.mark.slow

layers = keras.layers
SECONDS, MEGABYTES = 2, 500


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same")(layers.Rescaling(1 / 255)(inputs))
    x = layers.Add()([layers.BatchNormalization()(x), layers.DepthwiseConv2D(3, padding="same")(x)])
    x = layers.MultiHeadAttention(2, 3)(layers.Reshape((-1, 4))(x), layers.Reshape((-1, 4))(x))
    x = keras.Sequential([layers.Flatten(), layers.Dense(4, activation="softmax")])(x / 2.0)
    return saved(drawn(keras.Model(inputs, x)), tmp_path_factory.mktemp("damaged") / "whole.h5")


def refused_or_whole(path: Path) -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    said = "it is whole"
    try:
        compile_graph(read(path))
    except ModelRefused as error:
        said = str(error)
    assert 10 < len(said) < 1000
    assert "Error" not in said
    assert time.thread_time() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024


FEW = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@given(data=st.data())
@FEW
def test_flipped_bits_and_cuts(tmp_path: Path, whole: Path, data: st.DataObject) -> None:
    content = bytearray(whole.read_bytes())
    # Most of a file are its weights; what says where these are and what they mean lies mostly at its ends.
    places = st.one_of(st.integers(0, 4000), st.integers(0, len(content) - 1))
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    refused_or_whole(path)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(
        [2**16, 2**31, 2**63, 1e300, float("nan"), float("inf"), "", "same", "Lambda", "Dense", "in" * 400]
    ),
    st.lists(st.integers(-2, 3), max_size=4),
    st.dictionaries(st.sampled_from(["class_name", "config", "name"]), st.sampled_from(["Dense", 1, None]), max_size=3),
)


def inside(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a configuration: what holds it, and its key or number there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in list(items) for place in [(value, key), *inside(item)]]


@pytest.mark.slow
@given(data=st.data())
@FEW
def test_edited_configurations(tmp_path: Path, whole: Path, data: st.DataObject) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(whole.read_bytes())
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        for _ in range(data.draw(st.integers(1, 3))):
            places = inside(config)
            holder, key = places[data.draw(st.integers(0, len(places) - 1))]
            holder[key] = data.draw(VALUES)
        file.attrs["model_config"] = json.dumps(config)
    refused_or_whole(path)


def test_a_file_of_many_small_members_is_refused_soon(tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(whole.read_bytes())
    with h5py.File(path, "a") as file:
        for number in range(3000):
            file.create_dataset(f"more/{number}", data=np.zeros(1))
    refused_or_whole(path)
