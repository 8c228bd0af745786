"""A real server and a real browser: Debian's Chromium, at the size of a phone and of a desk."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from foodscene.app.main import create_app
from foodscene.app.settings import Settings

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
SCREENS = {
    "desk": {"viewport": {"width": 1280, "height": 860}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


class Server:
    """foodscene on a free port of this machine, in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(self.app, host="127.0.0.1", port=self.port, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        deadline = time.monotonic() + 60
        while not (self._server.started and self.app.state.service.ready):
            assert time.monotonic() < deadline, "The server did not become ready."
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)


@pytest.fixture(scope="session")
def feedback(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the operator gave for corrected photos."""
    return tmp_path_factory.mktemp("feedback")


@pytest.fixture(scope="session")
def server(toy_bundle: Path, feedback: Path) -> Iterator[Server]:
    with Server(Settings(models=toy_bundle, feedback=feedback)) as running:
        yield running


# Not for the whole session: while Playwright runs, nothing else in its thread can run an event loop.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{CHROMIUM} is missing; in CI the browser tests must run.")
        pytest.skip(f"{CHROMIUM} is missing (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(params=sorted(SCREENS))
def screen(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def context(chromium: Browser, screen: str) -> Iterator[BrowserContext]:
    context = chromium.new_context(**SCREENS[screen], reduced_motion="reduce", accept_downloads=True)
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, server: Server) -> Iterator[Page]:
    """The first page. At the end: no script failed or broke the Content-Security-Policy, no other host was asked."""
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None)
    page.on("request", lambda asked: wrong.append(asked.url) if _elsewhere(asked.url, server) else None)
    page.goto(server.url)
    yield page
    assert wrong == []


def _elsewhere(url: str, server: Server) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in ("data", "blob") and parts.netloc != urlsplit(server.url).netloc


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    """A photo of each colour that the model knows, as files."""
    from tests.browser import pictures

    return {name: pictures.save(tmp_path / f"{name}.jpg", name) for name in pictures.COLOURS}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers are slow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
