"""The right label: kept where the operator turned that on, else noted in this browser alone; and API keys."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from foodscene.app.settings import Settings
from tests.browser import pictures
from tests.browser.conftest import Server

KEY = "open sesame"


@pytest.fixture(scope="module")
def closed(toy_bundle: Path) -> Iterator[Server]:
    """Keeps nothing, and asks for an API key."""
    with Server(Settings(models=toy_bundle, api_keys=hashlib.sha256(KEY.encode()).hexdigest())) as running:
        yield running


def correct(page: Page, photo: Path, label: str) -> None:
    page.get_by_label("Choose photos").set_input_files(photo)
    page.get_by_role("button", name="Wrong?").click()
    page.get_by_label("What is it really?").select_option(label)
    page.locator(".wrong button").click()
    expect(page.locator(".wrong .hint")).to_have_text(f"Thank you: “{label}” it is.")


def test_right_label_is_kept_for_training(page: Page, tmp_path: Path, feedback: Path, screen: str) -> None:
    before = set(feedback.rglob("*.jpg"))
    size = (320, 240) if screen == "desk" else (240, 320)
    correct(page, pictures.save(tmp_path / "green.jpg", "green", size), "blue")
    (kept,) = set(feedback.rglob("*.jpg")) - before
    assert kept.parent.name == "blue"
    with Image.open(kept) as photo:
        assert photo.size == size
    entry = page.get_by_role("region", name="Earlier, in this browser").get_by_role("listitem")
    expect(entry).to_contain_text("blue")
    expect(entry).to_contain_text("not green")
    expect(page.get_by_role("contentinfo")).to_contain_text("kept only if you send the right label")


def test_key_is_asked_for_and_nothing_is_sent_where_nothing_is_kept(
    context: BrowserContext, closed: Server, photos: dict[str, Path]
) -> None:
    page = context.new_page()
    page.goto(closed.url)
    page.get_by_label("Choose photos").set_input_files(photos["green"])
    expect(page.locator(".reason")).to_contain_text("asks for an API key")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".card .top")).to_have_text("green")
    page.reload()
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    correct(page, photos["green"], "red")
    assert [url.rsplit("/", 1)[1] for url in sent] == ["predict"]
    page.get_by_role("button", name="Code").click()
    expect(page.get_by_role("region", name="The request with curl")).to_contain_text("Bearer $FOODSCENE_KEY")
