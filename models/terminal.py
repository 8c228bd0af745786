"""What is printed for people. Labels, titles and names come from others: nothing in them can steer the terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from foodscene.models.text import printable_lines

if TYPE_CHECKING:
    from rich.console import Console


_WIDEST = 1_000
"""Columns of what goes into a pipe or a file."""


def say(text: object, *, err: bool = False) -> None:
    """Print a text as it is, but for what a terminal would obey: see `text.printable`."""
    typer.echo(printable_lines(str(text)), err=err)


def open_console(*, markup: bool = False, **options: Any) -> "Console":
    """Rich's console, which prints what a terminal would obey as `text.printable` shows it, tables' cells too.

    Without `markup`, brackets are brackets; with it, `rich.markup.escape` whatever comes from others.
    """
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
    from rich.segment import Segment

    class Safe:
        def __init__(self, shown: ConsoleRenderable) -> None:
            self._shown = shown

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            return _printable(console.render(self._shown, options))

    def _printable(segments: Iterable[Segment]) -> Iterable[Segment]:
        for text, style, control in segments:
            yield Segment(text if control else printable_lines(text), style, control)

    class Hook(RenderHook):
        def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [Safe(shown) for shown in renderables]

    made = Console(markup=markup, **options)
    if not made.is_terminal and "width" not in options:
        made.width = _WIDEST  # nobody's window is to be filled: lines of a table are as long as they are
    made.push_render_hook(Hook())
    return made
