"""A bundle's model as ONNX: in the cache, and as a file for other runtimes."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from foodscene.models import compiler
from foodscene.models.bundle import BundleError, read_bundle
from foodscene.models.compiler import compiled, write_onnx
from foodscene.models.engine import open_engine
from foodscene.models.exported.settings import COMPILED_FROM
from foodscene.models.files import OccupiedError


@pytest.fixture
def colours(toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours"))


def test_is_compiled_once(colours: Path, tmp_path: Path) -> None:
    bundle = read_bundle(colours)
    content = compiled(bundle)
    (kept,) = (tmp_path / "cache" / "compiled").iterdir()
    assert kept.name.startswith(bundle.sha256)
    assert kept.read_bytes() == content
    kept.write_bytes(b"what is kept is taken")
    assert compiled(bundle) == b"what is kept is taken"
    assert compiled(bundle, fresh=True) == content == kept.read_bytes()


def test_a_damaged_cache_is_mended(colours: Path, tmp_path: Path) -> None:
    bundle = read_bundle(colours)
    expected = compiled(bundle)
    (kept,) = (tmp_path / "cache" / "compiled").iterdir()
    kept.write_bytes(expected[:100])
    assert open_engine(bundle).kind == "onnx"
    assert kept.read_bytes() == expected


def test_a_cache_that_cannot_be_written_is_done_without(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "file"))
    assert open_engine(read_bundle(colours)).kind == "onnx"


def test_another_compiler_compiles_anew(colours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = read_bundle(colours)
    compiled(bundle)
    monkeypatch.setattr(compiler, "VERSION", compiler.VERSION + 1)
    compiled(bundle)
    assert len(list((tmp_path / "cache" / "compiled").iterdir())) == 2


def test_a_model_that_is_swapped_after_the_check_is_not_compiled(colours: Path) -> None:
    bundle = read_bundle(colours)
    bundle.model.write_bytes(bundle.model.read_bytes() + b" ")
    with pytest.raises(BundleError, match="has changed since"):
        compiled(bundle)


def test_the_file_for_other_runtimes_says_what_goes_in_and_what_comes_out(colours: Path) -> None:
    bundle = read_bundle(colours)
    path = write_onnx(bundle)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path)
    said = session.get_modelmeta().custom_metadata_map
    assert said[COMPILED_FROM] == bundle.sha256
    assert json.loads(said["labels"]) == ["red", "green", "blue"]
    assert said["output"] == "softmax"
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    scaled = pixels * np.float32(json.loads(said["scale"])) + np.float32(json.loads(said["offset"]))
    np.testing.assert_allclose(
        session.run(["output"], {"pixels": scaled})[0], open_engine(bundle).predict(pixels), atol=1e-6
    )
    assert write_onnx(bundle) == path  # ours may be replaced


@pytest.mark.parametrize("content", [b"no model at all", onnx.ModelProto(producer_name="somebody").SerializeToString()])
def test_a_file_of_somebody_else_s_stays(colours: Path, content: bytes) -> None:
    (colours / "model.onnx").write_bytes(content)
    with pytest.raises(OccupiedError, match="was not compiled by foodscene"):
        write_onnx(read_bundle(colours))
    assert (colours / "model.onnx").read_bytes() == content
    assert open_engine(read_bundle(colours)).kind == "onnx"  # model.h5 is what counts
