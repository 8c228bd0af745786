"""Bring your own: models as found are served by the base install, with labels made up, or refused for a reason."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from foodscene.models.bundle import BundleError, find, read_bundle
from foodscene.models.engine import open_engine

FOUND = {
    "cifar10-keras-3.6.0": (10, "softmax", "assumed"),
    "depthwise-mnist-keras-2.8.0": (10, "softmax", "assumed"),
    "mnist-keras-3.1.1": (10, "softmax", "assumed"),
    "mobilenet-128px-keras-2.8.0": (1000, "softmax", "assumed"),
    "mobilenet-96px-gray-nested-keras-2.4.0": (2, "softmax", "assumed"),
    "mobilenet-96px-keras-2.4.0": (2, "softmax", "assumed"),
    "resnet-keras-2.14.0": (10, "softmax", "assumed"),
    "resnet-tfoplambda-keras-2.10.0": (10, "softmax", "assumed"),
    "sigmoid-64px-keras-2.12.0": (2, "sigmoid", "assumed"),
    "softmax-layer-96px-keras-2.9.0": (2, "softmax", "assumed"),
    "teachable-machine-2-classes": (2, "softmax", "as Teachable Machine does"),
    "teachable-machine-9-classes": (9, "softmax", "as Teachable Machine does"),
    "traffic-signs-keras-2.4.0": (43, "softmax", "assumed"),
    "two-classes-keras-2.3.0-tf": (2, "softmax", "assumed"),
    "xception-gray-keras-2.0.5": (7, "softmax", "assumed"),
}
"""How many labels each needs, what it answers with, and what tells how its pixels are scaled."""


@pytest.fixture
def found(data: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(data / "keras-models.zip") as archive:
        archive.extractall(tmp_path / "models")
    return tmp_path / "models"


def test_without_labels_each_says_how_many_it_needs(found: Path) -> None:
    bundles = find(found)
    assert set(bundles) == set(FOUND)
    for name, (labels, _, _) in FOUND.items():
        bundle = bundles[name]
        if name.startswith("teachable"):
            assert not isinstance(bundle, BundleError)
            assert not any(label[0].isdigit() for label in bundle.labels)
            assert bundle.spec.fit == "crop"
        else:
            assert f"write one with {labels:,} lines" in str(bundle)


@pytest.mark.slow
def test_with_labels_made_up_each_is_served(found: Path) -> None:
    for name, (labels, output, said_by) in FOUND.items():
        if not name.startswith("teachable"):
            (found / name / "labels.txt").write_text("".join(f"label {number}\n" for number in range(labels)))
        bundle = read_bundle(found / name)
        assert (len(bundle.labels), bundle.output, bundle.scaling.said_by) == (labels, output, said_by), name
        photos = np.random.default_rng(0).integers(0, 256, (2, *bundle.spec.shape), dtype=np.uint8)
        assert open_engine(bundle).predict(photos).shape == (2, labels), name


def test_an_archive_of_keras_is_a_bundle(found: Path) -> None:
    folder = found / "mnist-keras-3.1.1"
    (folder / "labels.txt").write_text("".join(f"digit {number}\n" for number in range(10)))
    photos = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1), dtype=np.uint8)
    expected = open_engine(read_bundle(folder)).predict(photos)
    (folder / "model.h5").unlink()
    bundle = read_bundle(folder)
    assert bundle.file == "model.keras"
    np.testing.assert_allclose(open_engine(bundle).predict(photos), expected, atol=1e-6)


def test_a_card_of_nothing_but_the_scaling(found: Path) -> None:
    folder = found / "mnist-keras-3.1.1"
    (folder / "labels.txt").write_text("".join(f"digit {number}\n" for number in range(10)))
    (folder / "card.json").write_text('{"input": {"rescale": 0.00392156862745098}}')
    bundle = read_bundle(folder)
    assert bundle.spec == (28, 28, 1, "squash")
    assert str(bundle.scaling) == "0 to 1 (by card.json)"
