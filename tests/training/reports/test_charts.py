"""Pictures are whole SVG files that say what they show and follow a dark screen."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from foodscene.models.text import spell
from foodscene.training.evaluation import robustness
from foodscene.training.evaluation.evaluation import Evaluation
from foodscene.training.reports import charts

pytestmark = pytest.mark.slow


def texts(svg: str) -> list[str]:
    return [(element.text or "").strip() for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]


@pytest.fixture(scope="module")
def measured() -> Evaluation:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, 80)
    probabilities = rng.dirichlet(np.ones(4), 80).astype(np.float32)
    return Evaluation(("apple_pie", "sea", "forest", "ice"), [str(n) for n in range(80)], targets, probabilities)


def test_confusion_matrix_says_every_label_twice_and_every_count(measured: Evaluation) -> None:
    said = texts(charts.confusion(measured))
    assert said.count("apple pie") == said.count("sea") == 2
    counts = sorted(str(count) for count in measured.matrix.ravel() if count)
    assert sorted(text for text in said if text.isdigit()) == counts


def test_a_matrix_of_256_classes_is_drawn_without_a_word(measured: Evaluation) -> None:
    many = Evaluation(
        tuple(f"dish_{n}" for n in range(256)),
        [str(n) for n in range(256)],
        np.arange(256),
        np.eye(256, dtype=np.float32),
    )
    assert sorted(texts(charts.confusion(many))) == ["predicted", "true"]


@pytest.mark.slow
def test_the_others_name_their_axes(measured: Evaluation) -> None:
    assert "calibration error 0.123" in texts(charts.reliability(measured.bins, 0.123))
    rows = [{"epoch": n, "loss": 1 / n, "val_loss": 2 / n, "top1": 0.5, "val_top1": 0.4} for n in (1, 2, 3)]
    assert {"loss", "top-1", "epoch", "training", "validation"} <= set(texts(charts.histories({"run": rows})))
    both = set(texts(charts.histories({"first": rows, "second": rows})))
    assert {"first", "second", "loss on validation photos; dotted, on training photos"} <= both
    kinds = {kind: [(0.0, 0.9), (1.0, 0.4)] for _, kind, amount, *_ in robustness.ways() if amount is not None}
    units = {kind: unit for _, kind, _, unit, _ in robustness.ways()}
    said = set(texts(charts.curves(kinds, 0.9, units)))
    assert {"rotation", "noise", "quality"} <= said


def test_colours_follow_the_screen(measured: Evaluation) -> None:
    svg = charts.confusion(measured)
    assert "prefers-color-scheme: dark" in svg
    assert "#010203" not in svg, "what was drawn with is replaced throughout"
    assert "var(--heat)" in svg


@pytest.mark.parametrize(
    "names", [("$", "$$", "$$$"), ("from $5 to $10", "a_$x^2$_b", r"\\frac{1}"), ("_x", "<b>", "&")]
)
def test_names_are_drawn_as_they_are(names: tuple[str, ...]) -> None:
    measured = Evaluation(names, ["1", "2", "3"], np.arange(3), np.eye(3, dtype=np.float32))
    said = texts(charts.confusion(measured))
    assert all(said.count(spell(name).strip()) == 2 for name in names)
    rows = [{"epoch": n, "loss": 1 / n, "val_loss": 2 / n, "top1": 0.5, "val_top1": 0.4} for n in (1, 2, 3)]
    assert set(names) <= set(texts(charts.histories(dict.fromkeys(names, rows))))
    points = [(0.0, 0.9), (1.0, 0.4)]
    said = texts(charts.curves(dict.fromkeys(names, points), 0.9, dict.fromkeys(names, "$ of $")))
    assert {*names, "$ of $"} <= set(said)


def test_many_runs_are_named_in_the_order_in_which_they_are_drawn() -> None:
    rows = [{"epoch": n, "loss": 1 / n, "val_loss": 2 / n, "top1": 0.5, "val_top1": 0.4} for n in (1, 2, 3)]
    names = [f"_run-{number}" for number in range(9)]
    assert [text for text in texts(charts.histories(dict.fromkeys(names, rows))) if text in names] == names
