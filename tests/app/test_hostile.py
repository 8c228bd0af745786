"""Models that would run code or read other files do neither, whichever way they are brought in."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from foodscene.cli import program

pytestmark = pytest.mark.slow

OUTSIDE = np.eye(3, dtype=np.float32) * 7


def with_lambda(model: Path) -> None:
    inputs = keras.Input((16, 16, 3))
    hidden = keras.layers.Lambda(lambda x: (open("created", "w").close(), x)[1], output_shape=(16, 16, 3))(inputs)  # noqa: PTH123
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(hidden))
    keras.Model(inputs, outputs).save(model)


def with_external_link(model: Path) -> None:
    with h5py.File(model.with_name("outside.h5"), "w") as other:
        other["kernel"] = OUTSIDE
    replace_kernel(model, lambda file, name: file.__setitem__(name, h5py.ExternalLink("outside.h5", "/kernel")))


def with_external_storage(model: Path) -> None:
    raw = model.with_name("outside.raw")
    raw.write_bytes(OUTSIDE.tobytes())
    where = [(str(raw), 0, OUTSIDE.nbytes)]
    replace_kernel(model, lambda file, name: file.create_dataset(name, (3, 3), np.float32, external=where))


def replace_kernel(model: Path, put: Callable[[h5py.File, str], Any]) -> None:
    with h5py.File(model, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if getattr(item, "shape", None) == (3, 3) else None)
        (name,) = names
        del file[name]
        put(file, name)
    with h5py.File(model) as file:  # as anyone reads it who does not look
        np.testing.assert_array_equal(file[name], OUTSIDE)


@pytest.fixture(params=[with_lambda, with_external_link, with_external_storage])
def hostile(request: pytest.FixtureRequest, toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the bundle `evil`, whose model does its harm to whoever loads it without looking."""
    monkeypatch.chdir(tmp_path)
    evil = tmp_path / "bundles" / "evil"
    evil.mkdir(parents=True)
    for part in ("model.h5", "labels.txt"):
        shutil.copy(toy_bundle / "colours" / part, evil)
    request.param(evil / "model.h5")
    if request.param is with_lambda:
        loaded = keras.models.load_model(evil / "model.h5", compile=False, safe_mode=False)
        loaded(np.zeros((1, 16, 16, 3), np.float32))
        Path("created").unlink()  # fails if it was not there
    return evil


def test_a_hostile_model_does_nothing(hostile: Path, start: Callable[..., Any], red: bytes, tmp_path: Path) -> None:
    for engine in ("auto", "keras", "onnx"):
        app = start(models=hostile.parent, engine=engine, wait=False)
        assert app.get("/api/v1/models").json()["refused"][0]["name"] == "evil"
        for route in ("/models/evil", "/v2/models/evil/infer"):
            assert app.post(route, content=red).status_code == 404
        assert app.post("/api/v1/predict", files={"file": red}, data={"model": "evil"}).status_code == 404
    (tmp_path / "red.png").write_bytes(red)
    for command in (["predict", "red.png", "--model", str(hostile)], ["compile", str(hostile)]):
        result = CliRunner().invoke(program, command)
        assert result.exit_code == 1
        assert "evil" in str(result.exception)
    listed = CliRunner().invoke(program, ["models", "--models", str(hostile.parent)])
    assert "cannot be used" in listed.output
    assert not Path("created").exists()
