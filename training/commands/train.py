"""The command `train`: from a recipe and photos to a bundle."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from training.commands.terminal import hushed, stop_cleanly

if TYPE_CHECKING:
    from training.data import Data
    from training.recipe import Recipe
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
        # Where nobody's window is to be filled, lines may be as long as they are.
        Console(width=None if sys.stdout.isatty() else 120).print(_listing(), highlight=False)
        return
    if engine not in ("fast", "keras"):
        raise typer.BadParameter("it is fast or keras", param_hint="--engine")
    if resume:
        work = _resumed(recipe, run, runs)
    else:
        work = _begun(recipe, data or [], settings or [], weights, run, runs, engine, console)
    stop_cleanly()
    try:
        _work(work, bundle, threads, quiet, console)
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
    weights: str | None,
    folder: Path | None,
    runs: Path,
    engine: str,
    console: Any,
) -> "Run":
    """A new run, its recipe checked before anything is read or made."""
    from training import recipe as recipes
    from training import run
    from training.datasets import labelled

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
    named = [(f"{label}=" if label else "", path) for label, path in sources]
    options = [f"--data {label}{path.name}" for label, path in named] + [f"--set {setting}" for setting in settings]
    if weights:
        options.append(f"--weights {weights if weights in ('imagenet', 'none') else Path(weights).name}")
    return run.create(
        folder or runs / run.folder_name(checked.name, datetime.now()),
        {
            "status": "begun",
            "recipe": checked.record(),
            "command": " ".join(["foodscene train", recipe, *options]),
            "data": [f"{label}{path.resolve()}" for label, path in named],
            "weights": weights,
            "engine": engine,
            "started": _now(),
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


def _work(work: "Run", bundle: Path | None, threads: int, quiet: bool, console: Any) -> None:
    """Train what a run's record says, and write its bundle."""
    import time

    from training import data as photos
    from training import recipe as recipes

    recipe = recipes.parse(work.record["recipe"])
    began, before = time.perf_counter(), work.record["seconds"]
    loaded = photos.load_for(recipe, [Path(path) for path in work.record["data"]])
    _check(work, loaded)

    with hushed():
        import tensorboard.summary  # noqa: F401 - greets too, where it finds TensorFlow

        from models.compiler import versions
        from training import card, report
        from training.export import counts, export, measure
        from training.loop import train as loop

        device = _device()
    from training.watching import Both, TensorBoard, Terminal

    dataset = {
        "name": loaded.name,
        "fingerprint": loaded.fingerprint,
        "layout": loaded.layout,
        "classes": list(loaded.classes),
    }
    work.update(status="running", dataset={**dataset, "counts": counts(loaded)}, versions=versions(), device=device)
    if not quiet:
        split = ", ".join(f"{count:,} {name}" for name, count in counts(loaded).items())
        console.print(
            f"{recipe.name}: {len(loaded.classes)} classes, {split} photos. Run: {work.folder}", highlight=False
        )
    watch = Both(Terminal(console, quiet=quiet), TensorBoard(work.folder / "tensorboard"))
    engine: Literal["fast", "keras"] = work.record["engine"]
    try:
        result = loop(recipe, loaded, work, watch, engine=engine, threads=threads, weights=work.record["weights"])
    finally:
        watch.close()
        work.update(seconds=round(before + time.perf_counter() - began, 1))

    folder = bundle or work.folder / "models" / (recipe.bundle or recipe.name.replace("/", "-"))
    with hushed():
        written = export(result, recipe, loaded, folder, work.record["command"])
    measured = measure(result, loaded)
    figures = {}
    if measured:
        figures = {**card.metrics(measured, result.sure_above).model_dump(exclude_none=True), "loss": measured.loss}
    work.update(
        epochs=len(result.history),
        best={"epoch": result.best["epoch"], "val_loss": result.best["val_loss"], "val_top1": result.best["val_top1"]},
        temperature=result.temperature,
        sure_above=result.sure_above,
        test=figures,
        bundle=str(folder.resolve()),
        seconds=round(before + time.perf_counter() - began, 1),
    )
    if measured:
        report.review(work.folder, written, [loaded], measured, result.model)
    work.update(status="finished", finished=_now())
    _summary(work, recipe, console)


def _summary(work: "Run", recipe: "Recipe", console: Any) -> None:
    """The measured figures beside the reported ones, and where the bundle is."""
    from training.watching import duration

    record, reported = work.record, recipe.reported
    where = f" (report's row {reported.row}{f', on {reported.data}' if reported.data else ''})" if reported else ""
    for name in ("top1", "top5"):
        if name in record["test"]:
            said = getattr(reported, name, None)
            beside = f"   reported {said:.4f}{where}" if said is not None else ""
            console.print(f"{name[:3]}-{name[3:]}  {record['test'][name]:.4f}{beside}", highlight=False)
    photos = record["test"].get("images")
    console.print(
        f"measured on {photos:,} test photos" if photos else "the data set has no test photos to measure on",
        f"after {record['epochs']} epochs, the best {record['best']['epoch']}, in {duration(record['seconds'])}",
        highlight=False,
    )
    folder = Path(record["bundle"])
    console.print(f"Bundle: {folder}\nServe it: foodscene serve --models {folder.parent}", highlight=False)
    if (page := work.folder / "report.html").exists():
        console.print(f"Report: {page}", highlight=False)


def _check(work: "Run", data: "Data") -> None:
    """A resumed run must see the photos that it began with."""
    from training.run import RunError

    known = work.record.get("dataset", {}).get("fingerprint")
    if known not in (None, data.fingerprint):
        raise RunError(
            f"{work.folder} was begun on other photos than {', '.join(work.record['data'])} holds now. Begin a new run."
        )
    if len(data.classes) < 2:
        raise RunError(f"{data.name} has {len(data.classes)} class: a classifier tells at least two apart.")
    if not len(data.train) or not len(data.validation):
        raise RunError(
            f"{data.name} has {len(data.train)} training and {len(data.validation)} validation photos: too few."
        )


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


def _listing() -> Any:
    """The shipped recipes, a line each: name, the row of their report, its figures, as much of the title as fits."""
    from rich.table import Column, Table

    from training import recipe as recipes

    loaded = sorted((recipes.load(name) for name in recipes.shipped()), key=_by_row)
    table = Table(
        # People type the names: these and the figures stay whole in 80 columns.
        Column("recipe", min_width=max(len(recipe.name) for recipe in loaded)),
        Column("row", min_width=3),
        Column("top-1", min_width=6),
        Column("top-5", min_width=6),
        Column("what it shows", no_wrap=True, overflow="ellipsis"),
        box=None,
        header_style="bold",
    )
    for recipe in loaded:
        row, *figures = (recipe.reported.row, recipe.reported.top1, recipe.reported.top5) if recipe.reported else [""]
        shares = [f"{figure:.4f}" if figure is not None else "" for figure in figures] or ["", ""]
        table.add_row(recipe.name, row, *shares, recipe.title)
    return table


def _by_row(recipe: "Recipe") -> tuple[str, str, int, str]:
    """By report, then in its order; what repeats no row comes last."""
    row = recipe.reported.row if recipe.reported else ""
    return recipe.name.rpartition("/")[0], row[:1] or "~", int(row[1:] or 0), recipe.name


def _device() -> str:
    import platform

    import keras

    devices = ", ".join(keras.distribution.list_devices()) or "cpu"
    return f"{platform.machine()}, {os.cpu_count()} cores, Keras on {keras.backend.backend()} ({devices})"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
