"""The command line: one program, whose commands live with the packages that they belong to.

Answers `--help` in under half a second: every command imports what it needs when it runs.
"""

import importlib.metadata
import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from foodscene.app.commands import predict, serve
from foodscene.models.commands import compile_bundle, models
from foodscene.models.errors import FoodsceneError
from foodscene.models.terminal import say
from foodscene.models.text import printable_lines
from foodscene.training.commands.calibrate import calibrate
from foodscene.training.commands.data import data
from foodscene.training.commands.evaluate import evaluate
from foodscene.training.commands.explain import explain
from foodscene.training.commands.runs import runs
from foodscene.training.commands.sweep import sweep
from foodscene.training.commands.train import train

_MISTAKE = (
    "foodscene: This is a mistake of foodscene's own. Please report it with the lines above and the command: "
    "see CONTRIBUTING.md."
)

_SCRATCH = ("cv2", "matplotlib", "scipy", "threadpoolctl")  # what training without Keras needs beside what serves

program = typer.Typer(
    help="Tells what is on a photo of food or of a place: train a classifier, look into it, serve it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (predict, models, serve, train, evaluate, calibrate, sweep, explain):
    program.command()(command)
program.command("compile")(compile_bundle)
program.add_typer(data, name="data")
program.add_typer(runs, name="runs")


@program.callback(invoke_without_command=True)
def main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Options of the program itself."""
    if version:
        typer.echo(importlib.metadata.version("foodscene"))
        raise typer.Exit


def _missing(package: str) -> str | None:
    """What to do where a package is not installed that somebody has to choose; None where it is our mistake."""
    top = package.partition(".")[0]
    backend = os.environ.get("KERAS_BACKEND")
    if backend and top == backend:
        return (
            f"KERAS_BACKEND is {backend}, and {package} is not installed here. "
            "Install it, or leave KERAS_BACKEND unset for TensorFlow."
        )
    if top in ("", "foodscene"):
        return None
    if top == "tensorflow" and sys.version_info >= (3, 14):
        return (
            "TensorFlow has no version for Python 3.14 yet, and training runs on it: take Python 3.11 to 3.13, or "
            "install JAX or PyTorch and set KERAS_BACKEND to jax or torch. Serving takes this Python."
        )
    # What serves is always there: what is missing belongs to an extra.
    extra = {"mlflow": "mlflow", **dict.fromkeys(("fsspec", "pyarrow"), "bulk")}.get(top, "train")
    smaller = ', or "foodscene[scratch]" for --backend scratch' if top in _SCRATCH else ""
    return f'{package} is not installed here: this command needs pip install "foodscene[{extra}]"{smaller}'


def cli() -> NoReturn:
    """Run the command line. What a person can mend is said in a sentence; a mistake of ours shows where it happened."""
    try:
        program()
    except (FoodsceneError, OSError) as error:
        typer.secho(printable_lines(f"foodscene: {error}"), fg="red", err=True)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and ends the program
        if isinstance(error, ModuleNotFoundError) and (advice := _missing(error.name or "")):
            typer.secho(f"foodscene: {advice}", fg="red", err=True)
            sys.exit(1)
        say(traceback.format_exc().rstrip(), err=True)
        typer.secho(_MISTAKE, fg="red", err=True)
        sys.exit(70)  # EX_SOFTWARE, sysexits.h
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
