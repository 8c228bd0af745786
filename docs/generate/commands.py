"""The command line's help, as Markdown: what `foodscene COMMAND --help` prints."""

import re

import typer
from typer.cli import get_docs_for_click

from foodscene.cli import program


def helps() -> str:
    """Every command with its arguments and options."""
    command = typer.main.get_command(program)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="foodscene")
    text = re.sub(r"\* `--(help|install-completion|show-completion)`:.*\n", "", text)  # what every program has
    text = re.sub(r"```console\n\$ (.*)\n```", r"`\1`", text)  # a pattern, no command to be run
    text = re.sub(r"\*\*(Usage)\*\*:\n\n", "", text)
    text = re.sub(r"\*\*Options\*\*:\n\n(?=\n|\Z|#)", "", text)
    return re.sub(r"\n{3,}", "\n\n", text.partition("\n")[2])
