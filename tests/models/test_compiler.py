"""Compiling to ONNX, and the check that both engines answer the same."""

import shutil
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

from foodscene.models.bundle import BundleError, read
from foodscene.models.compiler import compile_onnx
from foodscene.models.engine import COMPILED_FROM, open_engine
from foodscene.models.files import OccupiedError


def test_compiled_file_names_its_model(toy_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours"))
    (folder / "model.onnx").unlink()
    assert compile_onnx(read(folder)) < 1e-5
    metadata = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    assert metadata[COMPILED_FROM] == read(folder).sha256
    assert open_engine(read(folder), "onnx").kind == "onnx"


@pytest.mark.parametrize("content", [b"no model at all", onnx.ModelProto(producer_name="somebody").SerializeToString()])
def test_a_compiled_file_of_somebody_else_s_stays(toy_bundle: Path, tmp_path: Path, content: bytes) -> None:
    folder = Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours"))
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(OccupiedError, match="was not compiled by foodscene"):
        compile_onnx(read(folder))
    assert (folder / "model.onnx").read_bytes() == content


def test_difference_is_refused_and_leaves_nothing(
    toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours"))
    (folder / "model.onnx").unlink()
    bundle = read(folder)
    other = keras.models.load_model(bundle.model)
    export = keras.Model.export

    def export_another(self: keras.Model, *args: object, **options: object) -> None:
        self.layers[-1].set_weights([np.zeros((3, 3)), np.zeros(3)])
        export(self, *args, **options)

    monkeypatch.setattr(keras.Model, "export", export_another)
    with pytest.raises(BundleError, match="differs from Keras"):
        compile_onnx(bundle, other)
    assert not bundle.onnx.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "card.json", "labels.txt", "model.h5"]
