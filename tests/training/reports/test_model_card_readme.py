import json

import pytest
from markdown_it import MarkdownIt

from foodscene.models import bundle
from foodscene.models.card import Card, CardDataset, CardFallback, CardFallbackRule, CardMetrics, CardOutOfDistribution
from foodscene.training.reports import model_card

CARD = Card(
    name="two",
    title="Two kinds",
    description="Tells two kinds apart.",
    caution="Not for mushrooms.",
    recipe={"command": "foodscene train two --data photos"},
    dataset=CardDataset(name="photos", fingerprint="f", counts={"train": 1200, "test": 40}),
    metrics=CardMetrics(images=40, top1=0.75, top1_interval=(0.6, 0.86), calibration_error=0.02),
    per_class={"a": {"photos": 10, "precision": 0.8, "recall": 0.7, "recall_low": 0.4, "recall_high": 0.9, "f1": 0.75}},
    out_of_distribution={"noise": CardOutOfDistribution(photos=250, unsure=0.996)},
    sure_above=0.8,
    license="Anyone's.",
)
CONFUSION = {"labels": ["a", "b"], "matrix": [[7, 3], [0, 30]]}


def test_everything_of_the_card_is_told() -> None:
    said = model_card.readme(CARD, ("a", "b"), CONFUSION)
    for part in (
        "# Two kinds",
        "2 labels: a, b",
        "Not for mushrooms.",
        "1,200 train, 40 test photos",
        "foodscene train two --data photos",
        "Anyone's.",
        "| top-1 | 0.750 [0.600, 0.860] |",
        "from a probability of 0.80 on",
        "| noise | 250 | 0.996 |",
        "| a | 10 | 0.800 | 0.700 [0.400, 0.900] | 0.750 |",
        "- a taken for b: 3 of 10 photos",
        "| b | · | 30 |",
        'load_model("two/model.h5")',
    ):
        assert part in said
    assert "b taken for a" not in said
    assert "top-5" not in said


def test_a_fallback_is_named_and_what_is_foreign_is_counted() -> None:
    rule = CardFallbackRule(intercept=0, probability=1, familiarity=1, foreign=-1)
    asker = CARD.model_copy(update={"fallback": CardFallback(bundle="things", rule=rule)})
    assert "It asks things about photos of which it is not sure" in model_card.readme(asker, ("a", "b"))
    assert "1 of these labels is nothing" in model_card.readme(CARD.model_copy(update={"foreign": ["a"]}), ("a", "b"))
    assert "fallback" not in model_card.readme(CARD, ("a", "b"))


def test_hundreds_of_labels_are_not_listed_to_their_end() -> None:
    said = model_card.readme(Card(name="many"), [f"label {number}" for number in range(1000)])
    assert "It knows 1,000 labels: label 0, " in said
    assert "label 299" in said
    assert "label 300" not in said


def test_several_data_sets_stand_side_by_side() -> None:
    parts = {"one": CardMetrics(images=10, top1=0.5), "other": CardMetrics(images=30, top1=0.9)}
    said = model_card.readme(CARD.model_copy(update={"parts": parts}), ("a", "b"), CONFUSION)
    assert "|  | one | other | together |" in said
    assert "| photos | 10 | 30 | 40 |" in said


def test_a_model_of_which_nothing_else_is_known_has_no_figures() -> None:
    said = model_card.readme(Card(name="new"), ("a", "b"))
    assert said.startswith("# new\n")
    assert "How well it does" not in said
    assert "trained on" not in said


@pytest.mark.parametrize("name", ["everyday", "objects", "scenes-cnn"])
def test_the_bundles_that_ship_have_the_readme_of_their_card(name: str) -> None:
    shipped = bundle.read_bundle(bundle.SHIPPED / name)
    kept = shipped.folder / "confusion.json"
    confusion = json.loads(kept.read_text()) if kept.exists() else None
    assert model_card.readme(shipped.card, shipped.labels, confusion) == (shipped.folder / "README.md").read_text()


def test_names_are_text_whatever_they_contain() -> None:
    odd = "<b>a</b> | *b* [c](d) `e`\n# f"
    card = CARD.model_copy(
        update={
            "title": odd,
            "description": f"{odd}\n\n- no list",
            "recipe": {"command": "echo ```"},
            "dataset": CardDataset(name=f"1. {odd}", fingerprint="f", counts={"train": 1}),
            "per_class": {odd: CARD.per_class["a"]},
            "out_of_distribution": {odd: CARD.out_of_distribution["noise"]},
        }
    )
    said = model_card.readme(card, (odd, "b"), {"labels": [odd, "b"], "matrix": [[7, 3], [0, 30]]})
    page = MarkdownIt().enable("table").render(said)
    shown = "&lt;b&gt;a&lt;/b&gt; | *b* [c](d) `e` # f"
    assert f"<h1>{shown}</h1>" in page
    assert f"<p>{shown}</p>\n<p>- no list</p>" in page
    assert f"<p>1. {shown}: 1 train photos.</p>" in page
    assert page.count(f"<td>{shown}</td>") == 3
    assert f"<li>{shown} taken for b: 3 of 10 photos</li>" in page
    assert '<code class="language-sh">echo ```\n</code>' in page
    for mark in ("<b>", "<em>", "<a ", "<ol>"):
        assert mark not in page
