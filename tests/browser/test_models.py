"""Choosing a model, and the page that each has."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from foodscene.app.settings import Settings
from tests.browser.conftest import Server

LABELS = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def server(toy_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves `colours`, and `paints`: the same with turned labels, and all that a card can say."""
    root = tmp_path_factory.mktemp("two")
    shutil.copytree(toy_bundle / "colours", root / "colours")
    paints = root / "paints"
    shutil.copytree(toy_bundle / "colours", paints)
    (paints / "labels.txt").write_text("crimson\ndark_olive\nnavy\n")
    card = json.loads((paints / "card.json").read_text())
    card |= {
        "title": "Paints",
        "domain": "paint <b>pots</b>",
        "description": "Knows three paints.",
        "per_class": {"crimson": {"precision": 0.75, "recall": 0.5, "images": 12}},
        "recipe": {"command": "foodscene train paints", "settings": {"title": "Paints", "model": {"dropout": 0.4}}},
        "dataset": {"name": "Pots", "fingerprint": "ab", "counts": {"train": 1200, "test": 30}},
    }
    (paints / "card.json").write_text(json.dumps(card))
    confusion = {"labels": ["crimson", "dark_olive", "navy"], "matrix": [[9, 0, 3], [0, 10, 0], [1, 0, 9]]}
    (paints / "confusion.json").write_text(json.dumps(confusion))
    broken = root / "broken"
    broken.mkdir()
    (broken / "model.h5").write_bytes(b"no network")
    with Server(Settings(models=root)) as running:
        yield running


def test_picker_names_title_domain_and_accuracy(page: Page) -> None:
    choices = page.get_by_role("group", name="Answered by").get_by_role("radio")
    expect(choices).to_have_count(2)
    expect(page.get_by_role("radio", name="Colours made-up colours, 3 labels, 90% right")).to_be_checked()
    expect(page.get_by_role("radio", name="Paints paint <b>pots</b>, 3 labels, 90% right")).not_to_be_checked()


def test_another_choice_asks_again(page: Page, photos: dict[str, Path]) -> None:
    page.get_by_label("Choose photos").set_input_files(photos["green"])
    expect(page.locator(".card .top")).to_have_text("green")
    page.get_by_role("radio", name="Paints").check()
    expect(page.locator(".card .top")).to_have_text("dark olive")
    expect(page.locator(".card .note")).to_contain_text("Paints")


def test_choice_comes_with_the_address(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/models/paints")
    page.get_by_role("link", name="Try it").click()
    expect(page.get_by_role("radio", name="Paints")).to_be_checked()


def test_choice_holds_without_javascript(context: BrowserContext, server: Server, photos: dict[str, Path]) -> None:
    files = {"file": {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": photos["blue"].read_bytes()}}
    answer = context.request.post(server.url, multipart={**files, "model": "paints"})
    assert answer.ok
    assert "navy" in answer.text()
    assert 'value="paints" data-title="Paints" data-side="16" checked' in answer.text()


def test_list_compares_models_and_says_what_is_refused(page: Page, server: Server) -> None:
    page.get_by_role("link", name="Models", exact=True).click()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="Paints"))
    expect(row.get_by_role("cell")).to_have_text(["paint <b>pots</b>", "3", "16 \u00d7 16", "90%", "100%", "30"])
    expect(page.get_by_role("definition")).to_contain_text("broken")


def test_page_of_a_model_shows_its_card(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/models/paints")
    expect(page.get_by_role("heading", level=1)).to_have_text("Paints")
    expect(page.locator(".numbers")).to_contain_text("90%")
    row = page.get_by_role("row", name="crimson 75% 50% 12")
    expect(row).to_be_visible()
    expect(page.get_by_text("foodscene train paints")).to_be_visible()
    expect(page.get_by_text("Pots (1,200 train, 30 test)")).to_be_visible()
    page.get_by_text("The recipe").click()
    expect(page.get_by_role("region", name="The recipe")).to_have_text('title = "Paints"\n\n[model]\ndropout = 0.4')


def test_page_of_a_model_shows_its_mistakes(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/models/paints")
    expect(page.get_by_role("listitem").first).to_have_text("crimson taken for navy: 3 of 12")
    matrix = page.get_by_role("region", name="Confusion matrix")
    expect(matrix.get_by_role("row").nth(1).get_by_role("cell")).to_have_text(["9", "", "3"])
    assert matrix.locator("td.h8").first.evaluate("(cell) => getComputedStyle(cell).backgroundColor") != matrix.locator(
        "td.h0"
    ).first.evaluate("(cell) => getComputedStyle(cell).backgroundColor")


def test_page_of_a_model_without_figures_shows_its_labels(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/models/colours")
    expect(page.locator(".labels li")).to_have_text(LABELS)
    expect(page.get_by_role("region", name="Confusion matrix")).to_have_count(0)


def test_unknown_model_is_said_so(page: Page, server: Server) -> None:
    answer = page.goto(f"{server.url}/models/nothing")
    assert answer
    assert answer.status == 404
    expect(page.get_by_role("main")).to_contain_text("There is no model 'nothing'. There is colours, paints.")
