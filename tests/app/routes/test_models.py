import shutil
from collections.abc import Callable
from pathlib import Path

from starlette.testclient import TestClient


def test_models_are_listed_with_what_they_know(client: TestClient) -> None:
    body = client.get("/api/v1/models").json()
    assert body["default"] == "colours"
    assert body["refused"] == []
    (model,) = body["models"]
    assert (model["title"], model["labels"]) == ("Colours", ["red", "green", "blue"])
    assert (model["top1"], model["engine"], model["scheduling"]) == (0.9, "onnx", "parallel")
    page = client.get("/api/v1/models/colours").json()
    assert page["card"]["domain"] == "made-up colours"
    assert client.get("/api/v1/models/flavours").status_code == 404


def test_a_refused_bundle_is_named_with_the_reason_and_harms_no_other(
    start: Callable[..., TestClient], toy_bundle: Path, tmp_path: Path, red: bytes
) -> None:
    shutil.copytree(toy_bundle / "colours", tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.h5").write_bytes(b"no HDF5")
    (tmp_path / "bad" / "labels.txt").write_text("a\nb\n")
    client = start(models=tmp_path)
    body = client.get("/api/v1/models").json()
    assert [model["name"] for model in body["models"]] == ["good"]
    assert body["refused"][0]["name"] == "bad"
    assert "HDF5" in body["refused"][0]["reason"]
    assert client.post("/api/v1/predict", files={"file": red}).json()["model"] == "good"
    answer = client.post("/api/v1/predict", files={"file": red}, data={"model": "bad"})
    assert answer.status_code == 404
