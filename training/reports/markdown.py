"""Markdown, in which what a person or an archive calls a thing stays text: templates that escape, and tables."""

import re
from collections.abc import Iterable, Sequence

from jinja2 import BaseLoader, Environment

# CommonMark's marks that mean something within a line, and GFM's bar of a table and stroke through a text. An
# underscore within a word means nothing (CommonMark, "Emphasis"), nor does an ampersand that begins no entity.
_MARK = re.compile(r"[\\`*\[\]<>|~]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)")
# What makes a heading, a list, a quotation or a rule at the beginning of a line.
_BEGINNING = re.compile(r"^(\d+(?=[.)])|(?=[-+=#]))(.)")


class Markdown(str):
    """Text that is Markdown already and goes into a page as it is."""

    __slots__ = ()


def environment(loader: BaseLoader) -> Environment:
    """Jinja for Markdown: values are text, on one line, unless they are `Markdown`.

    Filters: `text` for what begins a line or has paragraphs, `code` and `fenced` for code, `table`.
    """
    made = Environment(  # noqa: S701 - autoescape is for HTML; this is for Markdown
        loader=loader,
        finalize=lambda value: escape(value) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(text=paragraphs, code=code, fenced=fenced, table=table)
    return made


def escape(text: str) -> Markdown:
    """Text as Markdown that shows it within a line."""
    return text if isinstance(text, Markdown) else Markdown(_MARK.sub(r"\\\g<0>", " ".join(text.split())))


def paragraphs(text: str) -> Markdown:
    """Text as Markdown that shows it where a line begins, with its paragraphs."""
    parts = (escape(part) for part in re.split(r"\n\s*\n", text.strip()))
    return Markdown("\n\n".join(_BEGINNING.sub(r"\1\\\2", part) for part in parts))


def code(text: str) -> Markdown:
    """Code within a line, which may be a table's."""
    line = " ".join(text.split())
    ticks = "`" * (_longest(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return Markdown(f"{ticks}{pad}{line}{pad}{ticks}".replace("|", "\\|"))


def fenced(text: str, language: str = "") -> Markdown:
    """Lines of code."""
    fence = "`" * max(3, _longest(text) + 1)
    return Markdown(f"{fence}{language}\n{text}\n{fence}")


def table(rows: Iterable[Sequence[str]], align: str = "--:") -> Markdown:
    """A table; the first row is its head. `align` is the rule below the columns after the first one."""
    head, *body = rows
    rule = [Markdown("---"), *(Markdown(align) for _ in head[1:])]
    return Markdown("\n".join(f"| {' | '.join(escape(cell) for cell in row)} |" for row in (head, rule, *body)))


def _longest(text: str) -> int:
    return max((len(ticks) for ticks in re.findall("`+", text)), default=0)
