"""What stands in the documentation between three backticks."""

import re
from pathlib import Path
from typing import NamedTuple

from docs.generate.pages import PAGES, ROOT

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:foodscene|python -m) [^`\n]+)`")


class Block(NamedTuple):
    """A block of code, and the page that it stands on."""

    page: Path
    language: str
    text: str


def blocks(*languages: str) -> list[Block]:
    """The blocks in these languages, in the pages' order."""
    return [
        block
        for page in (*PAGES, ROOT / "examples" / "README.md")
        for block in _of(page)
        if block.language in languages
    ]


def commands(page: Path) -> list[str]:
    """A page's commands: a line each, or several where a backslash joins them; without the comments behind them."""
    text = "\n".join(block.text for block in _of(page) if block.language == "sh").replace("\\\n", "\\\0")
    lines = (re.sub(r"(^|\s{2,}|\s)#\s.*", "", line).strip().replace("\\\0", "\\\n") for line in text.splitlines())
    return [line for line in lines if line]


def inline() -> list[tuple[Path, str]]:
    """The commands within the text: those of `foodscene`, and modules that are run."""
    return [
        (page, said) for page in PAGES for said in _INLINE.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))
    ]


def _of(page: Path) -> list[Block]:
    found = []
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        text = "\n".join(line.removeprefix(block["indent"]) for line in block["text"].splitlines())
        found.append(Block(page, block["language"], text))
    return found
