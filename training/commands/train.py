"""The command `train`: from a recipe and photos to a bundle."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.commands import course
from training.commands.terminal import stop_cleanly

if TYPE_CHECKING:
    from training.run import Run


def train(  # noqa: PLR0917 - typer passes by name
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe's name (see --list) or file; or just the folder or archive of your photos."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder of photos, or an archive as downloaded. Twice: two data sets as one. "
            "NAME=PATH makes one class of all its photos."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value: --set training.epochs=5.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="A backbone's weights: a file, or 'imagenet', or 'none'.")] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="A bundle whose answers to the photos are learned, in place of their labels.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(show_default="RUN/models/NAME", help="Where the bundle goes.")] = None,
    runs: Annotated[Path, typer.Option(help="The folder of runs.")] = Path("runs"),
    run: Annotated[Path | None, typer.Option(show_default="RUNS/TIME-RECIPE", help="This run's folder.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --run, or with the newest unfinished run.")
    ] = False,
    engine: Annotated[str, typer.Option(help="Who augments: fast, or keras for the real ImageDataGenerator.")] = "fast",
    threads: Annotated[
        int, typer.Option(min=1, show_default="the cores, at most 4", help="Threads that augment.")
    ] = min(4, os.cpu_count() or 1),
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the figures alone.")] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="Show the recipes with the figures that their reports give.")
    ] = False,
) -> None:
    """Train a recipe on photos and write the bundle, which `serve` and `predict` take.

    A run leaves a folder with everything needed to repeat it, and can be gone on with at any moment: --resume.
    """
    from rich.console import Console

    console = Console(soft_wrap=True)
    if listing:
        from training.commands.listing import table

        # Where nobody's window is to be filled, lines may be as long as they are.
        Console(width=None if sys.stdout.isatty() else 120).print(table(), highlight=False)
        return
    if engine not in ("fast", "keras"):
        raise typer.BadParameter("it is fast or keras", param_hint="--engine")
    if resume:
        work = _resumed(recipe, run, runs)
    else:
        work = _begun(recipe, data or [], settings or [], run, runs, engine, console, weights=weights, teacher=teacher)
    stop_cleanly()
    try:
        course.follow(work, bundle, threads, quiet, console)
    except KeyboardInterrupt:
        work.update(status="interrupted")
        console.print(f"Stopped. Go on with: foodscene train --resume --run {work.folder}", highlight=False)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the record keeps it, and it is raised again
        _failed(work, error)


def _begun(
    recipe: str | None,
    data: list[Path],
    settings: list[str],
    folder: Path | None,
    runs: Path,
    engine: str,
    console: Any,
    *,
    weights: str | None,
    teacher: Path | None,
) -> "Run":
    """A new run, its recipe checked before anything is read or made."""
    from models import bundle
    from training import recipe as recipes
    from training import run
    from training.datasets import labelled
    from training.teacher import demand

    if recipe and not data and not recipe.endswith(".toml") and Path(recipe).exists():
        data = [Path(recipe)]
        recipe = None
    if not data:
        wanted = "say which photos to train on: a folder, or an archive as downloaded"
        raise typer.BadParameter(wanted, param_hint="--data")
    sources = [labelled(path) for path in data]
    for _, path in sources:
        if not path.exists():
            raise typer.BadParameter(f"there is no {path}", param_hint="--data")
    if weights not in (None, "imagenet", "none") and not Path(weights).expanduser().is_file():
        raise typer.BadParameter(f"there is no file {weights}; or say imagenet, or none", param_hint="--weights")
    if recipe is None:
        from training.choice import choose

        choice = choose(data)
        recipe = choice.recipe
        console.print(f"{choice.reason} Recipe: {recipe}", highlight=False)
    checked = recipes.load(recipe, settings)
    demand(checked, given=teacher is not None)
    if teacher:
        bundle.read(teacher)
    named = [(f"{label}=" if label else "", path) for label, path in sources]
    options = [f"--data {label}{path.name}" for label, path in named] + [f"--set {setting}" for setting in settings]
    if weights:
        options.append(f"--weights {weights if weights in ('imagenet', 'none') else Path(weights).name}")
    if teacher:
        options.append(f"--teacher {teacher.resolve().name}")
    return run.create(
        folder or runs / run.folder_name(checked.name, datetime.now()),
        {
            "status": "begun",
            "recipe": checked.record(),
            "command": " ".join(["foodscene train", recipe, *options]),
            "data": [f"{label}{path.resolve()}" for label, path in named],
            "weights": weights,
            "teacher": str(teacher.resolve()) if teacher else None,
            "engine": engine,
            "started": run.now(),
            "seconds": 0.0,
            "reported": checked.reported.model_dump(exclude_none=True) if checked.reported else None,
        },
    )


def _resumed(recipe: str | None, folder: Path | None, runs: Path) -> "Run":
    from training import run

    work = run.read(folder) if folder else run.newest_unfinished(runs, recipe)
    if work.finished:
        raise run.RunError(f"{work.folder} is finished: there is nothing to resume.")
    return work


def _failed(work: "Run", error: Exception) -> None:
    """Keep in the record what went wrong, as far as there is room on the disk, and pass it on."""
    import contextlib
    import errno

    with contextlib.suppress(OSError):
        work.update(status="failed", error=f"{type(error).__name__}: {error}")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        raise OSError(
            "The disk is full. Nothing but the last epoch is lost: make room, then go on with "
            f"foodscene train --resume --run {work.folder}"
        ) from error
    raise error
