"""The commands that look at bundles: `models` and `compile`; and what `predict` says of a few photos."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from foodscene.models.terminal import say

_MOST_GIVEN = 1_000_000_000
"""Bytes on standard input."""

Folder = Annotated[Path | None, typer.Option("--models", show_default="those that ship", help="The folder of bundles.")]


def show_predictions(
    photos: Sequence[Path], model: str = "", models_folder: Path | None = None, top_k: int = 5, *, as_json: bool = False
) -> None:
    """Say what is on photos: labels with their probabilities, most probable first; with `as_json` an object a line.

    The photo `-` is standard input.
    """
    from foodscene.models.answer import answer, reliance
    from foodscene.models.bundle import SHIPPED, find_bundle
    from foodscene.models.engine import open_engine
    from foodscene.models.pixels import PhotoError, read_photo
    from foodscene.models.text import printable

    bundle = find_bundle(model, models_folder or SHIPPED)
    engine = open_engine(bundle)
    failed = False
    for photo in photos:
        try:
            pixels = read_photo(_given() if str(photo) == "-" else photo, bundle.spec)
        except (PhotoError, OSError) as error:
            failed = True
            reason = "There is no such file." if isinstance(error, FileNotFoundError) else str(error)
            say(
                json.dumps({"photo": str(photo), "error": reason}) if as_json else f"{photo}: {reason}",
                err=not as_json,
            )
            continue
        found = answer(bundle, engine.look(pixels[None]), top_k)
        if as_json:
            labels = [
                {"label": label, "probability": round(probability, 6)} for label, probability in found.predictions
            ]
            said = reliance(bundle, found)
            said |= {"sure": found.sure} if said else {}
            say(json.dumps({"photo": str(photo), "model": bundle.name, "predictions": labels, **said}))
        else:
            say(f"{photo}  ({bundle.name})")
            if found.known is False:
                say("  This is nothing that it knows. The nearest labels:")
            shown = [(printable(label), probability) for label, probability in found.predictions]
            width = max(len(label) for label, _ in shown)
            for label, probability in shown:
                say(f"  {label:<{width}}  {probability:6.1%}  {'█' * round(probability * 30)}")
            if found.set and bundle.card.conformal:
                share = bundle.card.conformal.coverage * 100
                say(f"  One of these, right {share:.0f} times of 100: {', '.join(map(printable, found.set))}")
    if failed:
        raise typer.Exit(1)


def _given() -> bytes:
    """What is on standard input. Raises `PhotoError` for more than a photo has, and where a person would type."""
    from foodscene.models.pixels import PhotoError

    if sys.stdin.isatty():
        raise PhotoError("Nothing comes in: foodscene predict - < photo.jpg")
    content = sys.stdin.buffer.read(_MOST_GIVEN + 1)
    if len(content) > _MOST_GIVEN:
        raise PhotoError(f"More than {_MOST_GIVEN / 1e6:,.0f} MB came in: that is no photo.")
    return content


def models(
    models_folder: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, for programs.")] = False,
) -> None:
    """List the bundles: what they know, how well, and what is wrong with those that cannot be used."""
    from rich.markup import escape
    from rich.table import Column, Table

    from foodscene.models.bundle import ONNX, SHIPPED, BundleError, default_name, find
    from foodscene.models.engine import tried
    from foodscene.models.terminal import open_console

    found = find(models_folder or SHIPPED)
    bundles = {name: bundle if isinstance(bundle, BundleError) else tried(bundle) for name, bundle in found.items()}
    if as_json:
        rows = [
            {"name": name, "error": str(bundle)}
            if isinstance(bundle, BundleError)
            else {
                "name": name,
                "title": bundle.title,
                "labels": bundle.labels,
                "output": bundle.output,
                "values": str(bundle.scaling),
                **bundle.card.model_dump(mode="json", include={"metrics"}),
            }
            for name, bundle in bundles.items()
        ]
        say(json.dumps(rows, indent=2))
        return
    from foodscene.models.text import estimate

    default = default_name(name for name, bundle in bundles.items() if not isinstance(bundle, BundleError))
    columns = ("title", "labels", "input", "values", "output", "top-1", "top-5")
    table = Table(Column("name", overflow="fold"), *columns, box=None, header_style="bold")
    for name, bundle in bundles.items():
        if isinstance(bundle, BundleError):
            continue
        spec, metrics = bundle.spec, bundle.card.metrics
        table.add_row(
            f"{name} [dim](default)[/dim]" if name == default else name,
            escape(bundle.title),
            str(len(bundle.labels)),
            f"{spec.width}x{spec.height} {spec.fit}",
            str(bundle.scaling),
            bundle.output.replace("_", "-"),
            estimate(metrics.top1, metrics.top1_interval) if metrics else "-",
            estimate(metrics.top5, metrics.top5_interval) if metrics and metrics.top5 is not None else "-",
        )
    console = open_console(markup=True)
    if table.row_count:
        console.print(table)
    for name, bundle in bundles.items():
        if isinstance(bundle, BundleError):
            console.print(f"[red]{escape(name)} cannot be used:[/] {escape(str(bundle))}", soft_wrap=True)
        elif bundle.file != ONNX and (bundle.folder / ONNX).exists():
            console.print(f"{escape(name)}: {bundle.file} is served, its model.onnx is not used.", soft_wrap=True)


def compile_bundle(
    folder: Annotated[Path, typer.Argument(help="The bundle: a folder with model.h5 and labels.txt.")],
) -> None:
    """Write a bundle's model as model.onnx, for other runtimes than foodscene's own."""
    from foodscene.models.bundle import read_bundle
    from foodscene.models.compiler import write_onnx
    from foodscene.models.engine import open_engine

    bundle = read_bundle(folder)
    open_engine(bundle)  # says what is wrong with it
    say(f"{write_onnx(bundle)}: labels, scaling and units are in its metadata.")
