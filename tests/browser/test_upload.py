"""Getting photos in: chosen, several, dropped, pasted, taken, HEIC, large."""

import base64
import re
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser import pictures

_HAND_OVER = """
([kind, name, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, { type: "image/jpeg" }));
  if (kind === "paste") document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
  else for (const type of ["dragenter", "dragover", kind].filter(Boolean)) {
    document.querySelector("main").dispatchEvent(
      new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}
"""


def hand_over(page: Page, kind: str, photo: Path) -> None:
    """Drop, drag or paste a file, as the browser tells the page of it."""
    page.evaluate(_HAND_OVER, [kind, photo.name, base64.b64encode(photo.read_bytes()).decode()])


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_dropped_or_pasted_photo_is_answered(page: Page, photos: dict[str, Path], way: str) -> None:
    hand_over(page, way, photos["green"])
    expect(page.locator(".card .top")).to_have_text("green")


def test_frame_shows_that_a_photo_is_being_dragged(page: Page, photos: dict[str, Path]) -> None:
    hand_over(page, "dragover", photos["green"])
    expect(page.locator("html.dragging")).to_have_count(1)
    hand_over(page, "drop", photos["green"])
    expect(page.locator("html.dragging")).to_have_count(0)


def test_text_that_is_pasted_is_left_alone(page: Page) -> None:
    page.evaluate("document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: new DataTransfer() }))")
    expect(page.locator("#results")).to_be_hidden()


def test_camera_is_offered_where_there_is_a_touch_screen(page: Page, photos: dict[str, Path], screen: str) -> None:
    camera = page.locator("label", has_text="Take a photo")
    if screen == "desk":
        expect(camera).to_be_hidden()
        return
    expect(camera.locator("input")).to_have_attribute("capture", "environment")
    camera.locator("input").set_input_files(photos["blue"])
    expect(page.locator(".card .top")).to_have_text("blue")


def test_several_photos_become_a_grid_in_their_order(page: Page, photos: dict[str, Path]) -> None:
    page.get_by_label("Choose photos").set_input_files(list(photos.values()))
    expect(page.locator(".grid .card .top")).to_have_text(list(photos))


def test_cards_fill_in_as_answers_arrive(page: Page, photos: dict[str, Path]) -> None:
    held = []
    page.route("**/api/v1/predict", lambda route: held.append(route))  # noqa: PLW0108 - Playwright takes no builtin
    page.get_by_label("Choose photos").set_input_files(list(photos.values()))
    expect(page.locator(".card[data-state=asking]")).to_have_count(3)
    expect(page.locator(".card img").first).to_be_visible()
    while not held:
        page.wait_for_timeout(20)
    held.pop().continue_()
    expect(page.locator(".card[data-state=answered]")).to_have_count(1)
    expect(page.locator(".card[data-state=asking]")).to_have_count(2)
    for route in held:
        route.continue_()
    expect(page.locator(".card[data-state=answered]")).to_have_count(3)


def test_same_photo_can_be_chosen_again(page: Page, photos: dict[str, Path]) -> None:
    for _ in range(2):
        with page.expect_response("**/api/v1/predict"):
            page.get_by_label("Choose photos").set_input_files(photos["red"])
    expect(page.locator(".card .top")).to_have_text("red")


def test_heic_is_sent_as_it_is_and_shown(page: Page, tmp_path: Path) -> None:
    heic = pictures.save(tmp_path / "IMG_0001.HEIC", "red")
    page.evaluate(_NOTE_WHAT_IS_SENT)
    page.get_by_label("Choose photos").set_input_files(heic)
    expect(page.locator(".card .top")).to_have_text("red")
    expect(page.locator(".card img")).to_be_visible()
    assert (
        page.locator(".card img").evaluate("async (image) => { await image.decode(); return image.naturalWidth }")
        == 320
    )
    assert _sent(page) == heic.read_bytes()


_DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"{}><rect width="100%" height="100%" fill="red"/></svg>'
_DRAWINGS = {
    "drawing.svg": _DRAWING.format(' width="40" height="30"'),
    "no size.svg": '\ufeff<?xml version="1.0"?>\n<!-- a -->' + _DRAWING.format(' viewBox="0 0 4 3"'),
    "no ending": "\n" + _DRAWING.format(""),
}


@pytest.mark.parametrize("name", [*_DRAWINGS, "icon.ico", "icon.png"])
def test_what_the_server_does_not_read_is_sent_as_a_jpeg(page: Page, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name in _DRAWINGS:
        file.write_text(_DRAWINGS[name])
    else:
        Image.new("RGBA", (48, 48), (255, 0, 0, 255)).save(file, "ICO", sizes=[(48, 48)])
    page.evaluate(_NOTE_WHAT_IS_SENT)
    page.get_by_label("Choose photos").set_input_files(file)
    expect(page.locator(".card .top")).to_have_text("red")
    expect(page.locator(".card img")).to_be_visible()
    with Image.open(BytesIO(_sent(page))) as sent:
        assert sent.format == "JPEG"
        assert max(sent.size) == (1280 if name in _DRAWINGS else 48)


def test_what_neither_reads_is_said_to(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><rect></svg")
    page.get_by_label("Choose photos").set_input_files(tmp_path / "notes.svg")
    expect(page.locator(".card .reason")).to_contain_text("not an image that is read here")


def test_jpeg_xl_is_answered_where_the_browser_shows_it(page: Page, tmp_path: Path) -> None:
    (tmp_path / "photo.jxl").write_bytes(base64.b64decode(_JPEG_XL))
    shown = page.evaluate(
        "(text) => { const image = new Image(); image.src = `data:image/jxl;base64,${text}`;"
        " return image.decode().then(() => true, () => false); }",
        _JPEG_XL,
    )
    page.get_by_label("Choose photos").set_input_files(tmp_path / "photo.jxl")
    expect(page.locator(".card .top" if shown else ".card .reason")).to_have_text(
        re.compile("red|green|blue" if shown else "not an image that is read here")
    )


def test_large_photo_is_scaled_down_and_upright_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    large = pictures.save_lying(tmp_path / "large.jpg", "blue", (4000, 3000))
    page.evaluate(_NOTE_WHAT_IS_SENT)
    page.get_by_label("Choose photos").set_input_files(large)
    expect(page.locator(".card .top")).to_have_text("blue")
    with Image.open(BytesIO(_sent(page))) as sent:
        assert sent.size == (960, 1280)
        assert 0x0112 not in sent.getexif()


def test_small_photo_is_sent_untouched(page: Page, photos: dict[str, Path]) -> None:
    page.evaluate(_NOTE_WHAT_IS_SENT)
    page.get_by_label("Choose photos").set_input_files(photos["red"])
    expect(page.locator(".card .top")).to_have_text("red")
    assert _sent(page) == photos["red"].read_bytes()


_JPEG_XL = "/woIELASCAgQAFwASxLFgkWAHL0xqnCBCV0qDp901Te/5QM="

_NOTE_WHAT_IS_SENT = """() => {
  window.sent = [];
  const send = window.fetch;
  window.fetch = (url, options) => {
    if (url.endsWith("/predict")) sent.push(options.body.get("file"));
    return send(url, options);
  };
}"""
_READ_WHAT_WAS_SENT = "async () => Array.from(new Uint8Array(await sent[0].arrayBuffer()))"


def _sent(page: Page) -> bytes:
    """The photo that went to `predict`, after `_NOTE_WHAT_IS_SENT`."""
    return bytes(page.evaluate(_READ_WHAT_WAS_SENT))
