"""Models as people have them: sixteen files of Keras 2.0.5 to 3.6.0 out of public repositories."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from foodscene.models.graph.reader import outline, read
from foodscene.models.graph.writer import write
from tests.models.graph.agreement import answer, assert_agrees

FOUND = {
    "cifar10-keras-3.6.0/model.h5": ((32, 32, 3), 10),
    "depthwise-mnist-keras-2.8.0/model.h5": ((28, 28, 1), 10),
    "mnist-keras-3.1.1/model.h5": ((28, 28, 1), 10),
    "mnist-keras-3.1.1/model.keras": ((28, 28, 1), 10),
    "mobilenet-128px-keras-2.8.0/model.h5": ((128, 128, 3), 1000),
    "mobilenet-96px-gray-nested-keras-2.4.0/model.h5": ((96, 96, 1), 2),
    "mobilenet-96px-keras-2.4.0/model.h5": ((96, 96, 3), 2),
    "resnet-keras-2.14.0/model.h5": ((32, 32, 3), 10),
    "resnet-tfoplambda-keras-2.10.0/model.h5": ((28, 28, 1), 10),
    "sigmoid-64px-keras-2.12.0/model.h5": ((64, 64, 3), 1),
    "softmax-layer-96px-keras-2.9.0/model.h5": ((96, 96, 3), 2),
    "teachable-machine-2-classes/keras_model.h5": ((224, 224, 3), 2),
    "teachable-machine-9-classes/keras_model.h5": ((224, 224, 3), 9),
    "traffic-signs-keras-2.4.0/model.h5": ((30, 30, 3), 43),
    "two-classes-keras-2.3.0-tf/model.h5": ((32, 32, 3), 2),
    "xception-gray-keras-2.0.5/model.h5": ((64, 64, 1), 7),
}
"""What each takes, and how many values it answers with."""


@pytest.fixture(scope="module")
def files(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("found")
    with zipfile.ZipFile(data / "keras-models.zip") as archive:
        archive.extractall(folder)
    return folder


def test_all_are_read(files: Path) -> None:
    assert {str(path.relative_to(files)) for path in files.rglob("*") if path.suffix in (".h5", ".keras")} == set(FOUND)
    for name, (shape, values) in FOUND.items():
        graph = outline(files / name)
        assert graph.input_shape == (None, *shape), name
        assert graph.output_shape == (None, values), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The structure of `inputs`")
@pytest.mark.parametrize("name", FOUND)
def test_what_is_written_of_it_answers_in_keras_as_the_file_does_here(files: Path, tmp_path: Path, name: str) -> None:
    graph = read(files / name)
    given = np.random.default_rng(2).uniform(-1, 1, (8, *FOUND[name][0])).astype(np.float32)
    assert float(np.ptp(answer(graph, given), axis=0).max()) > 1e-6  # it looks at its photos
    write(graph, tmp_path / "model.h5")
    assert_agrees(graph, keras.models.load_model(tmp_path / "model.h5", compile=False), given)


@pytest.mark.slow
def test_answers_are_those_of_keras_where_keras_reads_the_file(files: Path) -> None:
    compared = set()
    for name, (shape, _) in FOUND.items():
        try:
            model = keras.models.load_model(files / name, compile=False)
        except (ValueError, TypeError, OSError):  # Keras 3 refuses many files of Keras 2
            continue
        compared.add(name)
        assert_agrees(read(files / name), model, np.random.default_rng(3).uniform(-1, 1, (8, *shape)).astype("f4"))
    assert compared >= {"cifar10-keras-3.6.0/model.h5", "mnist-keras-3.1.1/model.h5", "mnist-keras-3.1.1/model.keras"}
