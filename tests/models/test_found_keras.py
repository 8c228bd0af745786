"""Models as found, and those that ship, answer as Keras does: the newest one, and tf-keras, which goes on with Keras 2.

tf-keras is no part of the environment that tests run in. `.ci/nightly` brings it along:
``pip install --no-deps --target FOLDER tf-keras``, then ``PYTHONPATH=FOLDER python -m pytest`` with this file.
"""

import importlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foodscene.models.bundle import SHIPPED, Bundle, find, read_bundle
from foodscene.models.engine import open_engine
from tests.models.test_found import FOUND

pytestmark = pytest.mark.slow

BY_KERAS = frozenset(
    {"cifar10-keras-3.6.0", "mnist-keras-3.1.1", "resnet-keras-2.14.0", "sigmoid-64px-keras-2.12.0"}
    | {"traffic-signs-keras-2.4.0", "xception-gray-keras-2.0.5"}
)
"""Those that Keras 3.15 loads."""
BY_TF_KERAS = FOUND.keys() - {"cifar10-keras-3.6.0", "mnist-keras-3.1.1"}
"""Those that tf-keras 2.21 loads: all that Keras 2 wrote."""


def agrees(found: zipfile.ZipFile, name: str, folder: Path, keras: Any) -> bool | None:
    """Whether a model answers as in a Keras, on 8 photos; None where that cannot load it."""
    found.extractall(folder, [member for member in found.namelist() if member.startswith(f"{name}/")])
    labels = folder / name / "labels.txt"
    if not labels.exists():
        labels.write_text("".join(f"label {number}\n" for number in range(FOUND[name][0])))
    bundle: Bundle = read_bundle(folder / name)
    photos = np.random.default_rng(0).integers(0, 256, (8, *bundle.spec.shape), dtype=np.uint8)
    engine = open_engine(bundle)
    prepared = engine.prepare(photos)
    try:
        model = keras.models.load_model(bundle.model, compile=False)
    except Exception:  # noqa: BLE001 - whatever an older version's file leads it to
        return None
    expected = np.asarray(model.predict(prepared, verbose=0))
    given = engine.run(prepared).probabilities
    expected = np.concatenate([1 - expected, expected], axis=1) if bundle.output == "sigmoid" else expected
    return bool(np.abs(given - expected).max() <= 1e-4)


def imported(module: str) -> Any:
    """A Keras, or a skipped test where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        pytest.skip(f"{module} is not installed here; .ci/nightly brings it along")


@pytest.mark.parametrize("module", ["keras", "tf_keras"])
def test_shipped_bundles_answer_as_in_keras(module: str) -> None:
    keras = imported(module)
    for bundle in find(SHIPPED).values():
        assert isinstance(bundle, Bundle)
        photos = np.random.default_rng(0).integers(0, 256, (8, *bundle.spec.shape), dtype=np.uint8)
        model = keras.models.load_model(bundle.model, compile=False)
        expected = model.predict(photos.astype(np.float32), verbose=0)
        np.testing.assert_allclose(open_engine(bundle).predict(photos), expected, atol=1e-4)


@pytest.mark.parametrize(("module", "loads"), [("keras", BY_KERAS), ("tf_keras", BY_TF_KERAS)])
def test_found_models_answer_as_in_keras(data: Path, tmp_path: Path, module: str, loads: frozenset[str]) -> None:
    keras = imported(module)
    with zipfile.ZipFile(data / "keras-models.zip") as archive:
        found = {name: agrees(archive, name, tmp_path, keras) for name in FOUND}
    assert [name for name, agreed in found.items() if agreed is False] == []
    assert {name for name, agreed in found.items() if agreed} >= loads
