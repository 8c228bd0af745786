"""The command line: one program, whose commands live with the packages that they belong to.

Answers `--help` in under half a second: every command imports what it needs when it runs.
"""

import importlib.metadata
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from app.commands import serve
from models.commands import models, predict
from training.commands.data import data
from training.commands.train import train

program = typer.Typer(
    help="Tells what is on a photo of food or of a place: train a classifier, look into it, serve it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
