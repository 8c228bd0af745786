"""The command `explain`: what a network sees on a photo."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.terminal import hushed

_SHOWN = 448
"""Pixels of a photo's side in the picture of what decided, about."""


def explain(
    photo: Annotated[Path, typer.Argument(help="The photo.")],
    model: Annotated[str, typer.Option(help="The bundle: its name, or its folder.")] = "",
    models_folder: Annotated[
        Path | None, typer.Option("--models", show_default="those that ship", help="The folder of bundles.")
    ] = None,
    label: Annotated[str, typer.Option(show_default="the one told", help="What speaks for this label.")] = "",
    out: Annotated[Path, typer.Option(help="The folder for the pictures.")] = Path("explained"),
) -> None:
    """Show which part of a photo decided, what the layers make of it, and the first layer's filters. Needs Keras."""
    import numpy as np

    from models.bundle import SHIPPED, choose
    from models.engine import KerasEngine
    from models.pixels import read
    from models.ranking import rank
    from training.run import replace

    bundle = choose(model, models_folder or SHIPPED)
    pixels = read(photo, bundle.spec)
    with hushed():
        engine = KerasEngine(bundle)
        from training import explanation
    probabilities = engine.predict(pixels[None])[0]
    if label and label not in bundle.labels:
        raise typer.BadParameter(f"{bundle.name} knows {', '.join(bundle.labels)}", param_hint="--label")
    meant = bundle.labels.index(label) if label else int(np.argmax(probabilities))
    heat = explanation.grad_cam(engine.model, pixels[None], [meant])[0]
    maps = explanation.feature_maps(engine.model, pixels)
    grids = {"filters": explanation.filters(engine.model), **{f"maps-{n}": grid for n, grid in enumerate(maps)}}

    larger = max(1, _SHOWN // max(bundle.spec.height, bundle.spec.width))
    shown = bundle.spec._replace(height=bundle.spec.height * larger, width=bundle.spec.width * larger)

    out.mkdir(parents=True, exist_ok=True)
    for name, probability in rank(probabilities, bundle.labels, 3):
        typer.echo(f"{name:<20} {probability:6.1%}")
    replace(out / "decided.png", explanation.overlaid(read(photo, shown), heat))
    typer.echo(f"{out / 'decided.png'}: what speaks for {bundle.labels[meant]} is bright")
    for name, grid in grids.items():
        replace(out / f"{name}.png", grid.png)
        typer.echo(f"{out / name}.png: {grid.title}")
