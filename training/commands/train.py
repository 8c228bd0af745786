"""The command `train`: from a recipe and photos to a bundle."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foodscene.training.terminal import stop_cleanly

if TYPE_CHECKING:
    from rich.console import Console

    from foodscene.training.recipes.recipe import Recipe
    from foodscene.training.train import Outcome


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
    labels: Annotated[
        str | None,
        typer.Option(show_default="folders", help="Where the labels are: a CSV file, or 'names' (cat.0.jpg)."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value: --set training.epochs=5.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="A backbone's weights: a file, or 'imagenet', or 'none'.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="BUNDLE",
            help="Go on from a bundle, a folder or one that ships, with other photos or labels.",
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE", help="A bundle whose answers to the photos are learned, in place of their labels."
        ),
    ] = None,
    outliers: Annotated[
        Path | None,
        typer.Option(help="Photos of nothing that the labels name, to learn to be unsure of: training.outliers."),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(show_default="RUN/models/NAME", help="Where the bundle goes.")] = None,
    runs: Annotated[Path, typer.Option(help="The folder of runs.")] = Path("runs"),
    run: Annotated[Path | None, typer.Option(show_default="RUNS/TIME-RECIPE", help="This run's folder.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --run, or with the newest unfinished run.")
    ] = False,
    backend: Annotated[
        str | None,
        typer.Option(show_default="keras", help="Who trains: keras, or scratch, the network library in NumPy."),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(show_default="fast", help="Who augments: fast, or keras for the real ImageDataGenerator."),
    ] = None,
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
    from foodscene.models.terminal import open_console

    console = open_console(soft_wrap=True, highlight=False)
    if listing:
        _list(open_console(highlight=False))
        return
    if backend not in (None, "keras", "scratch"):
        raise typer.BadParameter("it is keras or scratch", param_hint="--backend")
    if engine not in (None, "fast", "keras"):
        raise typer.BadParameter("it is fast or keras", param_hint="--engine")
    from foodscene.training import train as story
    from foodscene.training.loop.progress import Terminal

    common: dict[str, Any] = {
        "settings": settings or [],
        "bundle": bundle,
        "threads": threads,
        "watch": Terminal(console, quiet=quiet),
        "tell": None if quiet else console.print,
    }
    stop_cleanly()
    try:
        if resume:
            _unused(
                {
                    "--labels": labels,
                    "--weights": weights,
                    "--from": start,
                    "--teacher": teacher,
                    "--backend": backend,
                    "--outliers": outliers,
                    "--engine": engine,
                }
            )
            outcome = story.resume(_resumed(recipe, run, runs), data=data or [], **common)
        else:
            named = recipe is not None and (bool(data) or recipe.endswith(".toml"))
            recipe, data = _recipe(recipe, data or [], labels, console)
            if not named and not start and not weights and backend != "scratch":
                start = _start(recipe, console)
            chosen: dict[str, Any] = {
                "labels": labels,
                "weights": weights,
                "start": start,
                "teacher": teacher,
                "backend": backend or "keras",
                "outliers": outliers,
                "engine": engine or "fast",
            }
            outcome = story.train(recipe, data, run=run, root=runs, **chosen, **common)
    except story.InterruptedRun as stopped:
        console.print(str(stopped))
        raise
    summary(outcome, console)


def _recipe(recipe: str | None, data: list[Path], labels: str | None, console: "Console") -> tuple[str, list[Path]]:
    """The recipe and the photos that are meant: the photos alone may be given, and choose their recipe."""
    from foodscene.training.recipes import recipe as recipes

    if recipe and not data and not recipe.endswith(".toml") and Path(recipe).exists():
        data, recipe = [Path(recipe)], None
    if recipe and not data and not recipe.endswith(".toml") and recipe not in set(recipes.shipped()):
        wanted = (
            f"there is no folder or archive {recipe}, and no recipe of that name: foodscene train --list shows them"
        )
        raise typer.BadParameter(wanted, param_hint="RECIPE")
    if not data:
        wanted = "say which photos to train on: a folder, or an archive as downloaded"
        raise typer.BadParameter(wanted, param_hint="--data")
    if recipe is None:
        from foodscene.training.datasets import open_dataset
        from foodscene.training.recipes.suggestion import suggest

        opened = [open_dataset(path, labels=labels) for path in data]
        photos = sum(sample.label is not None for dataset in opened for sample in dataset.samples)
        recipe, reason = suggest(photos, sum(len(dataset.classes) for dataset in opened))
        console.print(f"{reason} Recipe: {recipe}")
    return recipe, data


def _start(recipe: str, console: "Console") -> str | None:
    """The bundle to go on from where a recipe's backbone has no weights on this machine: the one that ships."""
    from foodscene.models.bundle import SHIPPED, default_name, folders
    from foodscene.training.recipes import recipe as recipes
    from foodscene.training.recipes.sections import Transfer
    from foodscene.training.terminal import quiet_stderr

    with quiet_stderr():
        from foodscene.training.networks import transfer

    model = recipes.load(recipe).model
    if not isinstance(model, Transfer) or model.weights != "imagenet" or transfer.at_hand(model.backbone):
        return None
    shipped = default_name(path.name for path in folders(SHIPPED))
    console.print(
        f"It goes on from the bundle {shipped}, as {model.backbone}'s ImageNet weights are not on this machine; "
        "to download those: --weights imagenet"
    )
    return shipped


def _unused(options: dict[str, object]) -> None:
    """Refuse what a run that goes on does not take: it keeps what it was begun with."""
    for option, value in options.items():
        if value is not None:
            raise typer.BadParameter(
                "a run that goes on keeps what it was begun with: leave this out", param_hint=option
            )


def _resumed(recipe: str | None, folder: Path | None, root: Path) -> Path:
    """The folder of the run to go on with: the one named, or the newest unfinished one, of a recipe or of any."""
    from foodscene.training.runs import run

    if recipe and (folder or recipe.endswith(".toml")):
        raise typer.BadParameter(
            "a run that goes on keeps its recipe: leave this out. For more epochs, --set training.epochs=N",
            param_hint="RECIPE",
        )
    return folder or run.newest_unfinished(root, recipe).folder


def summary(outcome: "Outcome", console: "Console") -> None:
    """Print the measured figures beside the reported ones, and where the bundle is."""
    from foodscene.models.text import duration, estimate

    record, reported = outcome.run.record, outcome.run.record.get("reported") or {}
    where = reported.get("row", "") + (f", on {reported['data']}" if reported.get("data") else "")
    for name in ("top1", "top5"):
        if name in record["test"]:
            said = reported.get(name)
            beside = f"   reported {said:.4f} (report's row {where})" if said is not None else ""
            words = estimate(record["test"][name], record["test"].get(f"{name}_interval"))
            console.print(f"{name[:3]}-{name[3:]}  {record['test'][name]:.4f}  {words} right{beside}")
    measured = outcome.bundle.card.metrics
    console.print(
        f"measured on {measured.photos}" if measured else "the data set has no test photos to measure on",
        f"after {record['epochs']} epochs, the best {record['best']['epoch']}, in {duration(record['seconds'])}",
    )
    folder = outcome.bundle.folder
    console.print(f"Bundle: {folder}\nServe it: foodscene serve --models {folder.parent}")
    if outcome.report:
        console.print(f"Report: {outcome.report}")


def _list(console: "Console") -> None:
    """Print the shipped recipes: first those for anyone's photos, then the rows of the reports with their figures."""
    from rich.table import Column, Table

    from foodscene.training.recipes import recipe as recipes
    from foodscene.training.recipes.suggestion import SUGGESTED

    loaded = [recipes.load(name) for name in recipes.shipped()]
    reported = sorted((recipe for recipe in loaded if recipe.reported), key=_by_row)
    others = [recipes.load(name) for name in SUGGESTED]
    others += [recipe for recipe in loaded if not recipe.reported and recipe.name not in SUGGESTED]
    # People type the names: these and the figures stay whole in 80 columns.
    names = max(len(recipe.name) for recipe in loaded)

    def table(*figures: Column) -> Table:
        title = Column("what it trains", no_wrap=True, overflow="ellipsis")
        return Table(Column("recipe", min_width=names), *figures, title, box=None, header_style="bold")

    own = table()
    for recipe in others:
        own.add_row(recipe.name, recipe.title)
    rows = table(Column("row", min_width=3), Column("top-1", min_width=6), Column("top-5", min_width=6))
    for recipe in reported:
        said = recipe.reported
        shares = (said.top1, said.top5) if said else ()
        rows.add_row(
            recipe.name,
            said.row if said else "",
            *(f"{share:.4f}" if share is not None else "" for share in shares),
            recipe.title,
        )
    console.print("For your photos. foodscene train my-photos/ chooses between the first three.\n")
    console.print(own)
    console.print("\nRows of five reports, with the figures that they give.\n")
    console.print(rows)


def _by_row(recipe: "Recipe") -> tuple[str, str, int, str]:
    """By report, then in its order; what repeats no row comes last."""
    row = recipe.reported.row if recipe.reported else ""
    return recipe.name.rpartition("/")[0], row[:1] or "~", int(row[1:] or 0), recipe.name
