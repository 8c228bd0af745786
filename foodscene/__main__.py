"""`python -m foodscene`."""

from foodscene.cli import cli

cli()
