"""What the routes say of a photo about which the model asks its fallback: all of them the same."""

import base64
import json
import shutil
import threading
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from foodscene.app.bulk.job import Labeller, label
from foodscene.app.inference.scheduler import Runner, Scheduler
from foodscene.app.routes.schemas import AnswerBody
from foodscene.classifier import load
from foodscene.models.bundle import CARD, LABELS, read_bundle
from foodscene.models.commands import line_of
from tests.app.conftest import picture

PHOTOS = {"red": True, "orangered": True, "yellow": False, "purple": False}
"""Which of them are known. `colours` is sure of the first one alone, and asks about the others."""


@pytest.fixture
def asking(fallback_bundles: Path, start: Callable[..., TestClient]) -> TestClient:
    return start(models=fallback_bundles)


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the networks that photos were given to."""
    shapes: list[tuple[int, ...]] = []
    submit = Scheduler.submit

    def submitting(self: Scheduler, runner: Runner, photos: Sequence[Any], **options: bool) -> Any:
        shapes.extend([runner.spec.shape] * len(photos))
        return submit(self, runner, photos, **options)

    monkeypatch.setattr(Scheduler, "submit", submitting)
    return shapes


def predicted(client: TestClient, colour: str, model: str = "colours") -> dict[str, Any]:
    answer = client.post("/api/v1/predict", files={"file": picture(colour)}, data={"model": model}).json()
    AnswerBody.model_validate(answer)
    answer.pop("milliseconds")
    return answer


def test_a_photo_that_is_not_known_has_a_name_by_the_fallback(asking: TestClient) -> None:
    answer = predicted(asking, "yellow")
    assert list(answer) == ["model", "predictions", "known", "familiarity", "set", "fallback", "sure"]
    assert (answer["known"], answer["set"], answer["sure"], answer["familiarity"]) == (False, None, False, 0.0)
    assert (answer["fallback"]["model"], answer["fallback"]["label"]) == ("things", "yellow")
    assert 0.9 < answer["fallback"]["probability"] <= 1
    assert "fallback" not in predicted(asking, "yellow", "things"), "which has none"


def test_the_fallback_makes_a_photo_known_but_no_answer_sure(asking: TestClient) -> None:
    answer = predicted(asking, "orangered")
    assert (answer["known"], answer["sure"], answer["set"]) == (True, False, ["red"])
    assert answer["familiarity"] < 0.05, "by that alone it would not be known"
    assert answer["predictions"][0]["probability"] > 0.5, "nor is it the probability that is not sure"
    assert "fallback" not in answer


def test_it_is_asked_only_where_the_answer_is_not_sure(asking: TestClient, submitted: list[tuple[int, ...]]) -> None:
    first, second = (16, 16, 3), (24, 24, 3)
    predicted(asking, "red")
    assert submitted == [first]
    predicted(asking, "orangered")
    assert submitted == [first, first, second]
    asking.post("/models/colours", content=picture("yellow"))
    assert submitted[3:] == [first], "what says nothing of what is known asks nobody"


def test_all_routes_agree(asking: TestClient, fallback_bundles: Path, tmp_path: Path) -> None:
    expected = {colour: predicted(asking, colour) for colour in PHOTOS}
    assert {colour: answer["known"] for colour, answer in expected.items()} == PHOTOS
    files = [("files", picture(colour)) for colour in PHOTOS]
    batch = asking.post("/api/v1/predict/batch", files=files, data={"model": "colours"}).json()["results"]
    for result, answer in zip(batch, expected.values(), strict=True):
        result["answer"].pop("milliseconds")
        assert result["answer"] == answer

    encoded = [base64.b64encode(picture(colour)).decode() for colour in PHOTOS]
    pixels = [np.asarray(Image.open(BytesIO(picture(colour))).resize((16, 16))) for colour in PHOTOS]
    for tensor in (
        {"name": "photo", "datatype": "BYTES", "shape": [4], "data": encoded},
        {"name": "pixels", "datatype": "UINT8", "shape": [4, 16, 16, 3], "data": np.stack(pixels).ravel().tolist()},
    ):
        outputs = asking.post("/v2/models/colours/infer", json={"inputs": [tensor]}).json()["outputs"]
        data = {output["name"]: output["data"] for output in outputs}
        assert data["known"] == list(PHOTOS.values())
        assert data["familiarity"] == pytest.approx([answer["familiarity"] for answer in expected.values()], abs=1e-4)

    for colour, known in PHOTOS.items():
        page = asking.post("/", files={"file": picture(colour)}, data={"model": "colours"}).text
        assert ("This is nothing that I know." in page) is not known
        assert (f"Perhaps a {colour}?" in page) is not known
        (tmp_path / f"{colour}.png").write_bytes(picture(colour))

    classifier = load(fallback_bundles / "colours")
    lines = [line_of(f"{colour}.png", classifier.bundle, classifier.predict(picture(colour))) for colour in PHOTOS]
    of_table: list[str] = []
    labeller = Labeller(classifier.bundle, 5, threads=2)
    paths = [str(tmp_path / f"{colour}.png") for colour in PHOTOS]
    label(
        labeller,
        paths,
        lambda row: of_table.append(line_of(Path(row["path"]).name, classifier.bundle, labeller.answers.answer(row))),
    )
    for text, table, (colour, answer) in zip(lines, of_table, expected.items(), strict=True):
        assert json.loads(table) == json.loads(text) == {"photo": f"{colour}.png", **answer}


def unforeign(folder: Path) -> None:
    card = json.loads((folder / "things" / CARD).read_text())
    (folder / "things" / CARD).write_text(json.dumps({**card, "foreign": []}))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: shutil.rmtree(folder / "things"), "There is no things beside colours"),
        (lambda folder: (folder / "things" / LABELS).write_text("one\n"), "There is no things beside colours"),
        (unforeign, "does not say which of its labels are nothing that colours stands for"),
    ],
)
def test_without_it_familiarity_alone_decides_and_that_is_told(
    fallback_bundles: Path,
    tmp_path: Path,
    start: Callable[..., TestClient],
    spoil: Callable[[Path], object],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copytree(fallback_bundles, tmp_path / "models")
    spoil(tmp_path / "models")
    client = start(models=tmp_path / "models")
    assert {colour: predicted(client, colour)["known"] for colour in PHOTOS} == {
        colour: colour == "red" for colour in PHOTOS
    }
    assert "fallback" not in predicted(client, "yellow")
    page = client.post("/", files={"file": picture("yellow")}, data={"model": "colours"}).text
    assert "This is nothing that I know." in page
    assert "Perhaps" not in page
    assert why in caplog.text
    client.app.state.service.registry.refresh()  # type: ignore[attr-defined]
    assert caplog.text.count(why) == 1, "once"
    assert why in client.get("/models/colours").text
    shutil.rmtree(tmp_path / "models" / "things", ignore_errors=True)
    shutil.copytree(fallback_bundles / "things", tmp_path / "models" / "things")
    client.app.state.service.registry.refresh()  # type: ignore[attr-defined]
    assert why not in client.get("/models/colours").text
    assert predicted(client, "yellow")["fallback"]["label"] == "yellow"
    assert not read_bundle(tmp_path / "models" / "things").card.fallback


def test_a_photo_that_was_accepted_is_not_refused_on_its_way(asking: TestClient) -> None:
    service = asking.app.state.service  # type: ignore[attr-defined]
    length, service.scheduler.length = service.scheduler.length, 3
    try:
        photos = [("files", picture("yellow"))] * 3
        batch = asking.post("/api/v1/predict/batch", files=photos, data={"model": "colours"})
        assert [result["answer"]["known"] for result in batch.json()["results"]] == [False] * 3
        assert service.scheduler.depth == 0
    finally:
        service.scheduler.length = length


def test_a_second_look_that_takes_too_long_is_given_up(
    fallback_bundles: Path, start: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(models=fallback_bundles, deadline_seconds=0.5)
    service = client.app.state.service  # type: ignore[attr-defined]
    engine = service.registry.models["things"].runner.sessions.engine
    ready = threading.Event()
    run = engine.run
    monkeypatch.setattr(engine, "run", lambda prepared: (ready.wait(20), run(prepared))[1])
    answer = client.post("/api/v1/predict", files={"file": picture("yellow")}, data={"model": "colours"})
    assert answer.status_code == 504
    assert service.scheduler.depth == 0, "its place is free at once"
    assert client.post("/api/v1/predict", files={"file": picture("red")}, data={"model": "colours"}).status_code == 200
    ready.set()
    assert predicted(client, "yellow")["fallback"]["label"] == "yellow"
    assert service.uploads.held == 0


def test_a_card_of_another_bundle_is_taken_over_while_it_runs(
    fallback_bundles: Path, tmp_path: Path, start: Callable[..., TestClient]
) -> None:
    shutil.copytree(fallback_bundles, tmp_path / "models")
    client = start(models=tmp_path / "models")
    assert predicted(client, "yellow")["known"] is False
    path = tmp_path / "models" / "colours" / CARD
    card = json.loads(path.read_text())
    card["fallback"]["rule"]["intercept"] = 2
    path.write_text(json.dumps(card))
    client.app.state.service.registry.refresh()  # type: ignore[attr-defined]
    assert predicted(client, "yellow")["known"] is True, "whatever is foreign, by this rule"
