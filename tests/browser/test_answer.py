"""The answer: labels, bars, doubts, other models, and errors in words."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser import pictures


def ask(page: Page, photo: Path) -> None:
    page.get_by_label("Choose photos").set_input_files(photo)


def test_answer_shows_the_photo_its_labels_as_bars_and_the_time(page: Page, photos: dict[str, Path]) -> None:
    ask(page, photos["green"])
    card = page.locator(".card")
    expect(card.locator(".top")).to_have_text("green")
    expect(card.get_by_role("img", name="Your photo green.jpg")).to_be_visible()
    expect(card.locator(".shares li")).to_have_count(3)
    expect(card.locator(".percent").first).to_have_text(re.compile(r"^\d\d%$"))
    expect(card.locator(".note")).to_have_text(re.compile(r"^[\d.]+ m?s · Colours$"))
    share = float(card.locator(".percent").first.inner_text().removesuffix("%"))
    whole, part = (card.locator(f".{name}").first.bounding_box() for name in ("all", "part"))
    assert whole
    assert part
    assert part["width"] / whole["width"] == pytest.approx(share / 100, abs=0.01)


def test_answer_is_in_sight_without_scrolling(page: Page, photos: dict[str, Path]) -> None:
    ask(page, photos["green"])
    expect(page.locator(".card .photo")).to_be_in_viewport(ratio=0.9)


def test_doubt_is_said_as_such(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    pictures.draw(pictures.UNDECIDED).save(path)
    ask(page, path)
    expect(page.locator(".card .lead")).to_have_text("Not sure. Perhaps")
    expect(page.get_by_role("status")).to_contain_text("grey.png: not sure, perhaps")


def test_screen_readers_are_told(page: Page, photos: dict[str, Path]) -> None:
    ask(page, photos["red"])
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"red\.jpg: red, \d\d%"))


def test_other_photo_takes_the_place_of_the_first(page: Page, photos: dict[str, Path]) -> None:
    ask(page, photos["red"])
    expect(page.locator(".card .top")).to_have_text("red")
    ask(page, photos["blue"])
    expect(page.locator(".card .top")).to_have_text("blue")
    expect(page.locator(".card")).to_have_count(1)


def test_what_is_no_image_is_refused_in_words(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("no photo at all")
    ask(page, path)
    expect(page.locator(".reason")).to_contain_text("not an image")
    expect(page.locator(".again")).to_be_hidden()
    expect(page.get_by_role("status")).to_contain_text("notes.jpg")


def test_what_is_too_large_is_refused_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "film.heic"
    path.write_bytes(bytes(33_000_000))
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    ask(page, path)
    expect(page.locator(".reason")).to_have_text(
        "The photo is too large: it has 33 MB, and at most 32 MB are read here."
    )
    assert not asked


def test_busy_server_is_asked_again(page: Page, photos: dict[str, Path]) -> None:
    refused = []

    def refuse_twice(route: Route) -> None:
        if len(refused) < 2:
            refused.append(route)
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"detail": "Full."})
        else:
            route.continue_()

    page.route("**/api/v1/predict", refuse_twice)
    ask(page, photos["green"])
    expect(page.locator(".card .lead")).to_have_text("The server is busy. Trying again in 2 s…")
    expect(page.locator(".card .top")).to_have_text("green")
    assert len(refused) == 2


def test_lost_connection_can_be_tried_again(page: Page, photos: dict[str, Path]) -> None:
    page.route("**/api/v1/predict", lambda route: route.abort())
    ask(page, photos["green"])
    expect(page.locator(".reason")).to_contain_text("cannot be reached")
    page.unroute("**/api/v1/predict")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".card .top")).to_have_text("green")


def test_labels_are_text_and_never_markup(page: Page, photos: dict[str, Path]) -> None:
    label = "<img src=x onerror=alert(1)>_soup"
    answer = {"model": "colours", "predictions": [{"label": label, "probability": 1}], "sure": True, "milliseconds": 2}
    page.route("**/api/v1/predict", lambda route: route.fulfill(json=answer))
    ask(page, photos["green"])
    expect(page.locator(".card .top")).to_have_text("<img src=x onerror=alert(1)> soup")
