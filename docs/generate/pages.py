"""The pages, and what is filled in from the code: what stands between `<!-- made: NAME -->` and `<!-- /made -->`."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from docs.generate import chain, commands, recipes, rest, service

ROOT = Path(__file__).parents[2]

PAGES = [
    *sorted(page for page in (ROOT / "docs").glob("*.md") if not page.name.endswith(".notes.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]
"""Everything that is written for people; `.notes.md` is a part of another page."""

PARTS: dict[str, Callable[[], str]] = {
    "settings": service.settings,
    "metrics": service.metrics,
    "problems": service.problems,
    "recipe keys": recipes.keys,
    "recipes": recipes.shipped,
    "commands": commands.helps,
    "steps": chain.steps,
    **{f"rest {name}": partial(rest.answer, name) for name in rest.EXAMPLES},
}
"""What makes each part, by its name."""

_PLACE = re.compile(r"<!-- made: (.+?) -->\n.*?<!-- /made -->", re.DOTALL)


def filled(text: str) -> str:
    """A page's text with its made parts as the code is now. Raises `KeyError` for a part that nothing makes."""
    return _PLACE.sub(lambda place: f"<!-- made: {place[1]} -->\n{PARTS[place[1]]().strip()}\n<!-- /made -->", text)


def parts(text: str) -> list[str]:
    """The names of the made parts in a page."""
    return [place[1] for place in _PLACE.finditer(text)]
