"""What the documentation takes from the code is as the code is now, and everything is documented."""

import os
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from docs.generate import pages, rest
from foodscene.app.main import create_app
from foodscene.app.settings import Settings
from foodscene.training.recipes import recipe

ROOT = pages.ROOT
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.name) for page in pages.PAGES if pages.parts(page.read_text())]
)
def test_nothing_is_stale(page: Path, request: pytest.FixtureRequest) -> None:
    text = page.read_text(encoding="utf-8")
    if "<!-- made: rest" in text:
        request.getfixturevalue("url")  # skips where there is no curl
    assert pages.filled(text) == text, f"{page.name} is not as the code is now: make docs"


def test_every_part_is_on_a_page() -> None:
    used = {name for page in pages.PAGES for name in pages.parts(page.read_text(encoding="utf-8"))}
    assert used == set(pages.PARTS)


def test_every_route_has_a_request() -> None:
    document = create_app(Settings()).openapi()
    for path, methods in document["paths"].items():
        pattern = re.escape(path).replace(r"\{name\}", r"[\w.-]+")
        asking = [command for command in rest.EXAMPLES.values() if re.search(rf"{rest.HOST}{pattern}(\s|$)", command)]
        for method in methods:
            posts = [command for command in asking if re.search(r"curl.* (-F|--data-binary|--json) ", command)]
            assert posts if method == "post" else set(asking) - set(posts), f"{method} {path} has no example"


def test_every_key_of_a_recipe_says_what_it_means() -> None:
    def silent(section: type[BaseModel], name: str) -> list[str]:
        found = []
        for key, field in section.model_fields.items():
            parts = [field.annotation, *getattr(field.annotation, "__args__", ())]
            parts = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
            for part in parts:
                found += silent(part, f"{name}{key}.")
            if not parts and not field.description:
                found.append(f"{name}{key}")
        return found

    assert silent(recipe.Recipe, "") == ["name"]  # which follows from the file's place


def test_every_setting_says_what_it_means() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.name) for page in (*pages.PAGES, ROOT / "examples" / "README.md")]
)
def test_links_lead_somewhere(page: Path) -> None:
    for target, part in _LINK.findall(page.read_text(encoding="utf-8")):
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name}: {target}"
        if part and path.suffix == ".md":
            headings = re.findall(r"^#+ (.*)", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert part[1:] in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    missing = [page.name for page in pages.PAGES if page.parent.name == "docs" and page.name not in index]
    assert missing == ["README.md"]


def test_a_part_that_nothing_makes_is_refused() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        pages.filled(f"<!-- made: nonsense -->{os.linesep}<!-- /made -->")
