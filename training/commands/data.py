"""`foodscene data`: look into data sets, and into the cache of what was computed from them."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from foodscene.models.terminal import say

data = typer.Typer(help="Look into data sets before training on them.", no_args_is_help=True)

DataPath = Annotated[Path, typer.Argument(metavar="PATH", help="A folder of photos, or an archive as downloaded.")]
Layout = Annotated[str | None, typer.Option(help="The archive's layout, where it should not be found out.")]
Labels = Annotated[
    str | None,
    typer.Option(show_default="folders", help="Where the labels are: a CSV file, or 'names' (cat.0.jpg)."),
]
Crops = Annotated[bool, typer.Option("--crop-boxes", help="Show the parts of photos that the archive's boxes mark.")]


class AugmentationEngine(StrEnum):
    """Who alters the photos."""

    fast = "fast"
    keras = "keras"


class CacheAction(StrEnum):
    """What can be done to the cache."""

    list = "list"
    clear = "clear"


@data.command()
def check(
    path: DataPath,
    layout: Layout = None,
    labels: Labels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything found, for programs.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write a page with contact sheets to this file.")] = None,
) -> None:
    """Find what is wrong: broken photos, copies, contradicting labels, leaks. Exit status 1 if anything is."""
    from foodscene.models import files
    from foodscene.models.terminal import open_console
    from foodscene.training.data import check, check_report
    from foodscene.training.datasets import open_dataset

    if report:
        files.check_output(report)
    found = check.examine(open_dataset(path, layout, labels))
    if report:
        files.write_output(report, check_report.html(found).encode())
    if as_json:
        say(json.dumps(found.as_json(), indent=2))
    else:
        check_report.print_report(found, open_console(markup=True))
    raise typer.Exit(int(found.wrong))


@data.command()
def show(
    path: DataPath,
    layout: Layout = None,
    labels: Labels = None,
    crop_boxes: Crops = False,
    per_class: Annotated[int, typer.Option(min=1, max=100, help="Photos of each class.")] = 12,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The picture to write: .png, .jpg …")] = None,
) -> None:
    """Draw a contact sheet: some photos of every class."""
    from foodscene.training.data import contact_sheet
    from foodscene.training.datasets import open_dataset

    dataset = open_dataset(path, layout, labels)
    target = output or Path(f"{dataset.name}.png")
    contact_sheet.check(target)
    contact_sheet.save(contact_sheet.classes(dataset.crops() if crop_boxes else dataset, per_class), target)
    say(target)


@data.command()
def cache(action: Annotated[CacheAction, typer.Argument()] = CacheAction.list) -> None:
    """List what was computed from data sets and kept, or clear it. It lies where FOODSCENE_CACHE points."""
    from foodscene.training import storage

    root = storage.default_root()
    entries = storage.clear(root) if action is CacheAction.clear else storage.entries(root)
    for entry in entries:
        say(f"{entry.size / 1e6:10.1f} MB  {entry.path.name}")
    verb = "cleared from" if action is CacheAction.clear else "in"
    say(f"{sum(entry.size for entry in entries) / 1e6:10.1f} MB  {verb} {root}")


@data.command()
def augment(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `foodscene train --list`) or file.")],
    data: Annotated[list[Path], typer.Option(help="A folder of photos, or an archive as downloaded.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value: --set augmentation.rotation_range=30."),
    ] = None,
    photos: Annotated[int, typer.Option(min=1, max=100, help="Rows: training photos, drawn at random.")] = 6,
    copies: Annotated[int, typer.Option(min=1, max=20, help="Altered copies of each.")] = 5,
    engine: Annotated[
        AugmentationEngine, typer.Option(help="fast, or keras for the real ImageDataGenerator.")
    ] = AugmentationEngine.fast,
    seed: Annotated[int, typer.Option(help="Another number draws other photos and copies.")] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write: .png, .jpg …")] = Path(
        "augmentation.png"
    ),
) -> None:
    """Draw photos beside altered copies of them, and both as the network sees them after standardization."""
    from foodscene.training.data import contact_sheet
    from foodscene.training.data.load import load_for
    from foodscene.training.recipes import recipe as recipes

    contact_sheet.check(output)
    checked = recipes.load(recipe, settings or [])
    photographs = load_for(checked, data)
    from foodscene.training.augmentation.preview import grid

    picture = grid(
        checked.augmentation,
        photographs.pixels,
        photographs.train,
        photos=photos,
        copies=copies,
        engine=engine.value,
        seed=seed,
    )
    contact_sheet.save(picture, output)
    say(output)
