"""What the routes say of how far an answer can be relied on, for a bundle that knows what is familiar to it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from foodscene.app.routes.schemas import AnswerBody
from foodscene.models import familiarity
from foodscene.models.bundle import CARD, FAMILIAR, read_bundle
from tests.app.conftest import picture


@pytest.fixture
def acquainted(toy_bundle: Path, tmp_path: Path, start: Callable[..., TestClient]) -> TestClient:
    """A service with the toy bundle, to which reds, greens and blues are familiar and other colours are not."""
    folder = Path(shutil.copytree(toy_bundle / "colours", tmp_path / "models" / "colours"))
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = (np.eye(3)[labels] + rng.normal(0, 0.05, (60, 3))).astype(np.float32)
    found = familiarity.fit(features, labels, [features], read_bundle(folder).sha256)
    (folder / FAMILIAR).write_bytes(found.as_bytes())
    card = json.loads((folder / CARD).read_text())
    card["conformal"] = {"coverage": 0.95, "quantile": 0.6, "photos": 60}
    (folder / CARD).write_text(json.dumps(card))
    return start(models=tmp_path / "models")


def test_a_known_photo_has_a_set_of_labels(acquainted: TestClient) -> None:
    answer = acquainted.post("/api/v1/predict", files={"file": picture("red")}).json()
    assert list(answer) == ["model", "predictions", "known", "familiarity", "set", "sure", "milliseconds"]
    assert (answer["known"], answer["set"], answer["sure"]) == (True, ["red"], True)
    assert 0 < answer["familiarity"] <= 1
    AnswerBody.model_validate(answer)


def test_of_an_unknown_photo_nothing_is_promised(acquainted: TestClient) -> None:
    photo = picture("yellow")
    answer = acquainted.post("/api/v1/predict", files={"file": photo}).json()
    assert (answer["known"], answer["set"], answer["sure"], answer["familiarity"]) == (False, None, False, 0.0)
    batch = acquainted.post("/api/v1/predict/batch", files=[("files", photo), ("files", picture("red"))]).json()
    assert [result["answer"]["known"] for result in batch["results"]] == [False, True]
    page = acquainted.post("/", files={"file": photo}).text
    assert "This is nothing that I know" in page
    assert "This is nothing that I know" not in acquainted.post("/", files={"file": picture("red")}).text


def test_kserve_gives_them_as_outputs(acquainted: TestClient) -> None:
    told = acquainted.get("/v2/models/colours").json()["outputs"]
    assert [(one["name"], one["datatype"], one["shape"]) for one in told[1:]] == [
        ("known", "BOOL", [-1]),
        ("familiarity", "FP32", [-1]),
    ]
    pixels = np.zeros((2, 16, 16, 3), int)
    pixels[0, ..., 0] = 255
    pixels[1, ..., :2] = 255
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": [2, 16, 16, 3], "data": pixels.ravel().tolist()}
    outputs = acquainted.post("/v2/models/colours/infer", json={"inputs": [tensor]}).json()["outputs"]
    found = {one["name"]: (one["shape"], one["data"]) for one in outputs}
    assert found["known"] == ([2], [True, False])
    assert found["familiarity"][1][1] == 0.0


def test_a_bundle_that_cannot_say_leaves_them_out(client: TestClient) -> None:
    answer = client.post("/api/v1/predict", files={"file": picture("red")}).json()
    assert list(answer) == ["model", "predictions", "sure", "milliseconds"]
    outputs = client.get("/v2/models/colours").json()["outputs"]
    assert [one["name"] for one in outputs] == ["probabilities"]
