"""The command `explain`: what a network sees on a photo."""

import re
from pathlib import Path
from typing import Annotated

import typer

from foodscene.models.terminal import say
from foodscene.training.terminal import quiet_stderr

_NAMES = re.compile(r"(decided|filters|maps-\d+)\.png")
_SHOWN = 448
"""Pixels of a photo's side in the picture of what decided, about."""


def explain(
    photo: Annotated[Path, typer.Argument(help="The photo.")],
    model: Annotated[str, typer.Option(help="The bundle: its name, or its folder.")] = "",
    models_folder: Annotated[
        Path | None, typer.Option("--models", show_default="those that ship", help="The folder of bundles.")
    ] = None,
    label: Annotated[str, typer.Option(show_default="the one predicted", help="What speaks for this label.")] = "",
    out: Annotated[Path, typer.Option(help="The folder for the pictures.")] = Path("explained"),
) -> None:
    """Show which part of a photo decided, what the layers make of it, and the first layer's filters. Needs Keras."""
    import numpy as np

    from foodscene.models import folders
    from foodscene.models.bundle import SHIPPED, find_bundle
    from foodscene.models.engine import KerasEngine
    from foodscene.models.pixels import read_photo
    from foodscene.models.prediction import rank
    from foodscene.models.text import printable

    bundle = find_bundle(model, models_folder or SHIPPED)
    folders.check_publishable(out, _NAMES)
    pixels = read_photo(photo, bundle.spec)
    with quiet_stderr():
        engine = KerasEngine(bundle)
        from foodscene.training.evaluation import explanation
    probabilities = engine.predict(pixels[None])[0]
    if label and label not in bundle.labels:
        raise typer.BadParameter(
            f"{bundle.name} knows {', '.join(map(printable, bundle.labels))}", param_hint="--label"
        )
    meant = bundle.labels.index(label) if label else int(np.argmax(probabilities))
    heat = explanation.grad_cam(engine.model, pixels[None], [meant])[0]
    maps = explanation.feature_maps(engine.model, pixels)
    grids = {"filters": explanation.filters(engine.model), **{f"maps-{n}": grid for n, grid in enumerate(maps)}}

    larger = max(1, _SHOWN // max(bundle.spec.height, bundle.spec.width))
    shown = bundle.spec._replace(height=bundle.spec.height * larger, width=bundle.spec.width * larger)

    for name, probability in rank(probabilities, bundle.labels, 3):
        say(f"{printable(name):<20} {probability:6.1%}")
    with folders.publishing(out, _NAMES) as new:
        (new / "decided.png").write_bytes(explanation.overlaid(read_photo(photo, shown), heat))
        for name, grid in grids.items():
            (new / f"{name}.png").write_bytes(grid.png)
    say(f"{out / 'decided.png'}: what speaks for {bundle.labels[meant]} is bright")
    for name, grid in grids.items():
        say(f"{out / name}.png: {grid.title}")
