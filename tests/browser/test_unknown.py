"""A photo of nothing that the model knows: an answer of its own, on the page, in the history and without scripts."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from foodscene.app.settings import Settings
from tests.browser import pictures
from tests.browser.conftest import SCREENS, Server

YELLOW = (240, 230, 20)
NAMES = {
    "lion": "a lion",
    "axolotl": "an axolotl",
    "unicycle": "a unicycle",
    "European gallinule": "a European gallinule",
    "hourglass": "an hourglass",
    "sunglasses": "sunglasses",
    "Spring rolls": "Spring rolls",
    "compass": "a compass",
    "octopus": "an octopus",
}


@pytest.fixture(scope="module")
def asking(fallback_bundles: Path) -> Iterator[Server]:
    with Server(Settings(models=fallback_bundles)) as running:
        yield running


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pictures.draw(YELLOW).save(tmp_path / "lion.png")
    return tmp_path / "lion.png"


@pytest.fixture
def unknown(context: BrowserContext, asking: Server, photo: Path) -> Page:
    page = context.new_page()
    page.goto(f"{asking.url}/?model=colours")
    page.get_by_label("Choose photos").set_input_files(photo)
    expect(page.locator(".card[data-state=answered]")).to_have_count(1)
    return page


def test_it_says_so_and_what_it_may_be(unknown: Page, photos: dict[str, Path]) -> None:
    card = unknown.locator(".card")
    expect(card.locator(".lead")).to_have_text("This is nothing that I know.")
    expect(card.locator(".top")).to_have_text("Perhaps a yellow?")
    expect(card.locator(".nearest")).to_have_text("The nearest of what I know:")
    expect(card.locator(".nearest")).to_be_visible()
    expect(card.locator(".shares li")).to_have_count(3)
    expect(card.locator(".promise")).to_be_hidden()
    sizes = [
        card.locator(name).evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
        for name in (".top", ".shares li:first-child")
    ]
    assert sizes[0] > 1.7 * sizes[1], "the nearest labels are small"
    said = "lion.png: This is nothing that I know. Perhaps a yellow? The nearest of what I know: "
    expect(unknown.get_by_role("status")).to_contain_text(said)

    unknown.get_by_role("radio", name="Things").check()  # which knows it
    expect(card.locator(".top")).to_have_text("yellow")
    expect(card.locator(".nearest")).to_be_hidden()
    expect(card.locator(".shares li")).to_have_count(5)

    unknown.get_by_role("radio", name="Colours").check()
    expect(card.locator(".nearest")).to_be_visible()
    unknown.get_by_label("Choose photos").set_input_files(photos["red"])
    expect(card.locator(".top")).to_have_text("red")
    expect(card.locator(".nearest")).to_be_hidden()
    expect(card.locator(".promise")).to_be_visible()


def test_it_meets_the_rules_of_accessibility_and_fits(unknown: Page, screen: str) -> None:
    for scheme in ("light", "dark"):
        unknown.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        broken = Axe().run(unknown).response["violations"]
        assert not [one["id"] for one in broken if one["impact"] in ("serious", "critical")]
    assert unknown.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_history_and_its_csv_tell_it(unknown: Page) -> None:
    entry = unknown.get_by_role("region", name="Earlier, in this browser").get_by_role("listitem")
    expect(entry).to_contain_text("Perhaps a yellow")
    expect(entry).to_contain_text("nothing that I know")
    with unknown.expect_download() as download:
        unknown.get_by_role("button", name="Export as CSV").click()
    with Path(download.value.path()).open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["known"], row["fallback"], row["sure"]) == ("false", "yellow", "false")
    assert row["label"] in ("red", "green"), "the nearest"
    unknown.reload()
    expect(entry).to_contain_text("Perhaps a yellow")


def test_a_guess_is_text_and_never_markup_and_may_be_missing(unknown: Page, photos: dict[str, Path]) -> None:
    card = unknown.locator(".card")
    answer = {
        "model": "colours",
        "predictions": [{"label": "red", "probability": 0.7}],
        "known": False,
        "fallback": {"model": "things", "label": "<img src=x onerror=alert(1)>_soup", "probability": 1},
        "sure": False,
        "milliseconds": 2,
    }
    unknown.route("**/api/v1/predict", lambda route: route.fulfill(json=answer))
    unknown.get_by_label("Choose photos").set_input_files(photos["green"])
    expect(card.locator(".top")).to_have_text("Perhaps a <img src=x onerror=alert(1)> soup?")
    del answer["fallback"]
    unknown.get_by_label("Choose photos").set_input_files(photos["green"])
    expect(card.locator(".top")).to_have_text("This is nothing that I know.")
    expect(card.locator(".lead")).to_be_hidden()
    entry = unknown.get_by_role("region", name="Earlier, in this browser").get_by_role("listitem").first
    expect(entry).to_contain_text("Nothing that I know")
    expect(entry).to_contain_text("nearest: red")


def test_without_scripts_it_says_the_same(chromium: Browser, asking: Server, screen: str, photo: Path) -> None:
    context = chromium.new_context(**SCREENS[screen], java_script_enabled=False)
    page = context.new_page()
    page.goto(asking.url)
    page.get_by_label("Choose photos").set_input_files(photo)
    page.get_by_role("button", name="Tell me").click()
    card = page.locator(".card")
    expect(card.locator(".lead")).to_have_text("This is nothing that I know.")
    expect(card.get_by_role("heading", name="Perhaps a yellow?")).to_be_visible()
    expect(card.locator(".nearest")).to_be_visible()
    expect(card.locator(".shares li")).to_have_count(3)
    context.close()


def test_labels_have_their_article_in_both_languages(unknown: Page) -> None:
    from foodscene.models.text import with_article

    script = "labels => import('/static/js/words.js').then(({ withArticle }) => labels.map(withArticle))"
    assert unknown.evaluate(script, list(NAMES)) == list(NAMES.values())
    assert [with_article(name) for name in NAMES] == list(NAMES.values())
