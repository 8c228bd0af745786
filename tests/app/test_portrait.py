"""What the page of a model shows."""

import json
import tomllib
from pathlib import Path

import pytest

from app import portrait
from app.portrait import Confusion, Mistake
from models import bundle


@pytest.mark.parametrize(
    "settings",
    [
        {"title": 'A "quoted" title', "epochs": 30, "rate": 1e-4, "flip": True, "sizes": [1, 2]},
        {"model": {"network": "vgg16", "head": {"units": [256], "dropout": 0.5}}, "seed": 1},
        {"layers": [{"kind": "conv", "filters": 32}, {"kind": "dense"}]},
        {},
    ],
)
def test_toml_reads_back_as_what_was_written(settings: dict[str, object]) -> None:
    assert tomllib.loads(portrait.toml(settings)) == settings


def test_confusion_names_the_most_frequent_mistakes() -> None:
    confusion = Confusion(labels=["a", "b"], matrix=[[7, 3], [1, 0]])
    assert confusion.mistakes == [Mistake("a", "b", 3, 10), Mistake("b", "a", 1, 1)]
    assert [[cell["heat"] for cell in row["cells"]] for row in confusion.rows] == [[7, 3], [10, 0]]


def test_confusion_of_many_labels_has_mistakes_and_no_table() -> None:
    labels = [str(number) for number in range(100)]
    matrix = [[0] * 100 for _ in labels]
    matrix[3][4] = 2
    confusion = Confusion(labels=labels, matrix=matrix)
    assert confusion.rows == []
    assert confusion.mistakes == [Mistake("3", "4", 2, 2)]


@pytest.mark.parametrize("content", ["", "{}", '{"labels": ["a", "b"], "matrix": [[1, 2]]}', '{"labels": 1}'])
def test_confusion_that_is_missing_or_wrong_is_left_out(toy_bundle: Path, tmp_path: Path, content: str) -> None:
    folder = tmp_path / "colours"
    folder.symlink_to(toy_bundle / "colours") if not content else _copy(toy_bundle / "colours", folder, content)
    assert Confusion.read(bundle.read(folder)) is None


def test_figures_per_class_are_shares_but_counts_are_not(toy_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "colours"
    _copy(toy_bundle / "colours", folder, "{}")
    card = json.loads((folder / "card.json").read_text())
    card["per_class"] = {
        "green": {"recall": 1.0, "photos": 1},
        "red": {"recall": 0.5, "recall_low": 0.25, "recall_high": 0.75},
    }
    (folder / "card.json").write_text(json.dumps(card))
    columns, rows = portrait.per_class(bundle.read(folder))
    assert columns == ["recall", "photos"]
    assert [row["label"] for row in rows] == ["red", "green"]
    assert [[cell["text"] for cell in row["cells"]] for row in rows] == [["50% (25\u201375%)", ""], ["100%", "1"]]


def _copy(source: Path, folder: Path, confusion: str) -> None:
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "confusion.json").write_text(confusion)
