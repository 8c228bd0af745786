"""The heat map: laid over the photo, with a slider."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect

_BRIGHTNESS = """
(canvas, [x, y]) => canvas.getContext("2d")
  .getImageData(x * canvas.width, y * canvas.height, 1, 1).data.slice(0, 3).reduce((sum, value) => sum + value)
"""


@pytest.fixture
def explained(page: Page, tmp_path: Path) -> Page:
    """The page after "Why?" was asked about a grey picture with a green corner, left above."""
    image = Image.new("RGB", (320, 200), (90, 90, 90))
    ImageDraw.Draw(image).rectangle((0, 0, 130, 80), fill=(20, 220, 40))
    image.save(tmp_path / "corner.png")
    page.get_by_label("Choose photos").set_input_files(tmp_path / "corner.png")
    page.get_by_role("button", name="Why?").click()
    expect(page.get_by_label("Heat map")).to_be_visible(timeout=30_000)
    return page


def test_heat_map_lies_over_the_photo_and_is_bright_where_it_decided(explained: Page) -> None:
    heat, photo = explained.locator("canvas.heat"), explained.locator(".card img")
    assert heat.bounding_box() == photo.bounding_box()
    assert brightness(heat, 0.15, 0.15) > brightness(heat, 0.85, 0.85) + 200
    expect(explained.get_by_role("status")).to_contain_text("The brighter, the more it speaks for “green”")


def test_slider_fades_the_heat_map_with_the_keyboard(explained: Page) -> None:
    slider, heat = explained.get_by_label("Heat map"), explained.locator("canvas.heat")
    expect(heat).to_have_css("opacity", "0.65")
    slider.press("Home")
    expect(heat).to_have_css("opacity", "0")
    slider.press("End")
    expect(heat).to_have_css("opacity", "1")


def test_heat_map_goes_and_comes_back_without_asking_again(explained: Page) -> None:
    asked = []
    explained.on("request", lambda request: asked.append(request.url) if "/explain" in request.url else None)
    button = explained.get_by_role("button", name="Why?")
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(explained.locator("canvas.heat")).to_be_hidden()
    button.click()
    expect(explained.locator("canvas.heat")).to_be_visible()
    assert asked == []


def test_failure_is_in_words(page: Page, photos: dict[str, Path]) -> None:
    page.route("**/api/v1/explain", lambda route: route.abort())
    page.get_by_label("Choose photos").set_input_files(photos["red"])
    page.get_by_role("button", name="Why?").click()
    expect(page.locator(".panel.why")).to_contain_text("cannot be reached")


def brightness(heat: Locator, x: float, y: float) -> int:
    """The sum of red, green and blue at a place, given in shares of the width and height."""
    return int(heat.evaluate(_BRIGHTNESS, [x, y]))
