"""The command `data augment`: see what a recipe's augmentation does to photos."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Engine(StrEnum):
    """Who alters the photos."""

    fast = "fast"
    keras = "keras"


def augment(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `foodscene train --list`) or file.")],
    data: Annotated[list[Path], typer.Option(help="A folder of photos, or an archive as downloaded.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value: --set augmentation.rotation_range=30."),
    ] = None,
    photos: Annotated[int, typer.Option(min=1, max=100, help="Rows: training photos, drawn at random.")] = 6,
    copies: Annotated[int, typer.Option(min=1, max=20, help="Altered copies of each.")] = 5,
    engine: Annotated[Engine, typer.Option(help="fast, or keras for the real ImageDataGenerator.")] = Engine.fast,
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
    typer.echo(output)
