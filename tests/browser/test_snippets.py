"""The request as code: what is shown, when run, gives the same answer."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Server


@pytest.fixture
def code(page: Page, photos: dict[str, Path]) -> Page:
    odd = photos["blue"].rename(photos["blue"].with_name('it\'s a "sea"; blue, deep.jpg'))
    page.get_by_label("Choose photos").set_input_files(odd)
    page.get_by_role("button", name="Code").click()
    return page


def test_curl_line_works(code: Page, tmp_path: Path) -> None:
    line = code.get_by_role("region", name="The request with curl").inner_text()
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout)["predictions"][0]["label"] == "blue"


def test_python_lines_work(code: Page, tmp_path: Path) -> None:
    lines = code.get_by_role("region", name="The request in Python").inner_text()
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.splitlines()[0].endswith("%  blue")


def test_copy_button_fills_the_clipboard(context: BrowserContext, code: Page, server: Server) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    code.get_by_role("button", name="Copy").first.click()
    expect(code.get_by_role("button", name="Copied")).to_be_visible()
    assert server.url in code.evaluate("navigator.clipboard.readText()")
