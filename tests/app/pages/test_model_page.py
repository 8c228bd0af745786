"""What the page of a model shows."""

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from foodscene.app.pages import model_page
from foodscene.models import bundle


@pytest.mark.parametrize(
    "settings",
    [
        {"title": 'A "quoted" title', "epochs": 30, "rate": 1e-4, "flip": True, "sizes": [1, 2]},
        {"model": {"network": "vgg16", "head": {"units": [256], "dropout": 0.5}}, "seed": 1},
        {"layers": [{"kind": "conv", "filters": 32}, {"kind": "dense"}]},
        {"a key": 1, "dotted.key": {"": "empty", "crème": {"x = y": [True, {"two words": 2}]}}},
        {"title": "C:\\photos\x7f\n\u2028'''"},
        {},
    ],
)
def test_toml_reads_back_as_what_was_written(settings: dict[str, object]) -> None:
    assert tomllib.loads(model_page.toml(settings)) == settings


def test_toml_leaves_out_what_is_null() -> None:
    settings = {"seed": None, "model": {"head": None, "units": [1, None]}}
    assert tomllib.loads(model_page.toml(settings)) == {"model": {"units": [1]}}


def test_figures_per_class_are_shares_but_counts_are_not(toy_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "colours"
    shutil.copytree(toy_bundle / "colours", folder)
    card = json.loads((folder / "card.json").read_text())
    card["per_class"] = {
        "green": {"recall": 1.0, "photos": 1},
        "red": {"recall": 0.5, "recall_low": 0.25, "recall_high": 0.75},
    }
    (folder / "card.json").write_text(json.dumps(card))
    columns, rows = model_page.per_class(bundle.read_bundle(folder))
    assert columns == ["recall", "photos"]
    assert [row["label"] for row in rows] == ["red", "green"]
    assert [[cell["text"] for cell in row["cells"]] for row in rows] == [["50% (25\u201375%)", ""], ["100%", "1"]]


def test_labels_and_cards_are_text_on_every_page(
    start: Callable[..., TestClient], toy_bundle: Path, tmp_path: Path, red: bytes
) -> None:
    """What a bundle calls things is nobody's script."""
    wrong = "<script>alert(1)</script>\"'"
    folder = tmp_path / "colours"
    shutil.copytree(toy_bundle / "colours", folder)
    labels = [f"{wrong} {number}" for number in range(3)]
    (folder / "labels.txt").write_text("\n".join(labels) + "\n")
    card = json.loads((folder / "card.json").read_text())
    card |= {
        "title": wrong,
        "domain": wrong,
        "description": wrong,
        "caution": wrong,
        "license": wrong,
        "versions": {wrong: wrong},
        "per_class": {labels[0]: {wrong: 0.5}},
        "recipe": {"command": wrong, "settings": {wrong: wrong}},
        "dataset": {"name": wrong, "fingerprint": "0" * 64, "counts": {wrong: 3}},
    }
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "confusion.json").write_text(json.dumps({"labels": labels, "matrix": [[1, 2, 3]] * 3}))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.h5").write_bytes(b"no HDF5")
    (tmp_path / "bad" / "labels.txt").write_text(f"{wrong}\n" * 2)
    client = start(models=tmp_path)
    answers = [client.get(path) for path in ("/", "/models", "/models/colours", f"/models/{wrong}", f"/?model={wrong}")]
    answers.append(client.post("/", files={"file": red}))
    for answer in answers:
        assert not re.search(r"""<script>alert|alert\(1\)<|alert\(1\)&lt;/script&gt;\\?["']""", answer.text)
    assert answers[2].text.count("alert(1)") > 10


def test_a_models_page_is_written_once_and_anew_for_its_successor(
    start: Callable[..., TestClient], toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(toy_bundle / "colours", tmp_path / "colours")
    client = start(models=tmp_path)
    written: list[str] = []
    figures = model_page.figures
    monkeypatch.setattr(model_page, "figures", lambda bundle: written.append(bundle.title) or figures(bundle))
    pages = {client.get("/models/colours").text for _ in range(3)}
    assert len(pages) == len(written) == 1
    card = json.loads((tmp_path / "colours" / "card.json").read_text())
    (tmp_path / "colours" / "card.json").write_text(json.dumps({**card, "title": "Other colours"}))
    client.app.state.service.registry.refresh()  # type: ignore[attr-defined]
    assert "Other colours" in client.get("/models/colours").text
    assert written == ["Colours", "Other colours"]
