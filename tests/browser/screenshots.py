"""Pictures of the page's main states: `python -m tests.browser.screenshots docs/images [--models FOLDER]`.

What is asked about is painted by code (`scenes.py`, `dishes.py`).
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from foodscene.app.settings import Settings
from foodscene.models.bundle import SHIPPED
from tests.browser import dishes, scenes
from tests.browser.conftest import CHROMIUM, SCREENS, Server

PAINTED = (scenes.mountain, dishes.beignets, scenes.sea, scenes.buildings, scenes.forest, dishes.bibimbap)
_ANSWERED = "(count) => document.querySelectorAll('[data-state=answered], [data-state=failed]').length === count"
_MOST_BYTES = 300_000


class Studio:
    """A server, a browser, painted photos, and a folder for the pictures."""

    def __init__(self, browser: Browser, server: Server, photos: Path, folder: Path) -> None:
        self.browser, self.server, self.photos, self.folder = browser, server, photos, folder

    @contextmanager
    def page(self, screen: str = "desk", **options: Any) -> Iterator[Page]:
        """The first page, at rest."""
        context = self.browser.new_context(**{**SCREENS[screen], "reduced_motion": "reduce", **options})
        page = context.new_page()
        page.goto(self.server.url, wait_until="networkidle")
        yield page
        context.close()

    def ask(self, page: Page, *names: str) -> None:
        """Give photos by name, and wait for all answers."""
        page.get_by_label("Choose photos").set_input_files([self.photos / name for name in names])
        page.wait_for_function(_ANSWERED, arg=len(names))

    def take(self, page: Page, name: str) -> None:
        """Write what the page shows, all of it, to `<name>.png`."""
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": page.viewport_size["width"], "height": height})  # type: ignore[index]
        page.mouse.move(0, 0)
        page.wait_for_timeout(300)
        path = self.folder / f"{name}.png"
        page.screenshot(path=path)
        with Image.open(path) as image:
            flat = image.convert("RGB")
        flat.save(path, optimize=True)
        if path.stat().st_size > _MOST_BYTES:
            flat.quantize(256, kmeans=1).save(path, optimize=True)
        typer.echo(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def empty(studio: Studio) -> None:
    with studio.page() as page:
        studio.take(page, "empty")


def one(studio: Studio) -> None:
    with studio.page() as page:
        studio.ask(page, "mountain.jpg")
        studio.take(page, "page")


def heat(studio: Studio) -> None:
    with studio.page() as page:
        studio.ask(page, "beignets.jpg")
        page.get_by_role("button", name="Why?").click()
        page.get_by_label("Heat map").wait_for(timeout=60_000)
        studio.take(page, "heat-map")


def grid(studio: Studio) -> None:
    with studio.page() as page:
        studio.ask(page, *(f"{paint.__name__}.jpg" for paint in PAINTED))
        studio.take(page, "grid")


def dark(studio: Studio) -> None:
    with studio.page(color_scheme="dark") as page:
        studio.ask(page, "sea.jpg")
        page.get_by_role("button", name="Code").click()
        studio.take(page, "dark")


def phone(studio: Studio) -> None:
    with studio.page("phone") as page:
        studio.ask(page, "beignets.jpg")
        studio.take(page, "phone")
    with studio.page("phone") as page:
        studio.take(page, "phone-empty")


def wrong(studio: Studio) -> None:
    with studio.page("phone", color_scheme="dark") as page:
        studio.ask(page, "bibimbap.jpg")
        page.get_by_role("button", name="Wrong?").click()
        studio.take(page, "phone-wrong")


def error(studio: Studio) -> None:
    with studio.page() as page:
        studio.ask(page, "notes.txt")
        studio.take(page, "error")


def model(studio: Studio) -> None:
    with studio.page() as page:
        page.goto(f"{studio.server.url}/models")
        studio.take(page, "models")
        page.get_by_role("row").nth(1).get_by_role("link").click()
        studio.take(page, "model")


STATES: tuple[Callable[[Studio], None], ...] = (empty, one, heat, grid, dark, phone, wrong, error, model)


def main(
    folder: Annotated[Path, typer.Argument(help="Where the pictures go.")],
    models: Annotated[Path, typer.Option(help="The folder of the bundles.")] = SHIPPED,
) -> None:
    """Take all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        Server(Settings(models=models)) as server,
        sync_playwright() as play,
    ):
        photos = Path(temporary)
        (photos / "notes.txt").write_text("No photo at all.")
        for paint in PAINTED:
            paint().save(photos / f"{paint.__name__}.jpg", quality=90)
        browser = play.chromium.launch(executable_path=CHROMIUM)
        for state in STATES:
            state(Studio(browser, server, photos, folder))
        browser.close()


if __name__ == "__main__":
    typer.run(main)
