"""The commands that look at bundles: `models` and `compile`; and what `predict` says of a few photos."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foodscene.models.terminal import say

if TYPE_CHECKING:
    from foodscene.models.answer import Answer
    from foodscene.models.bundle import Bundle, BundleError
_MOST_GIVEN = 1_000_000_000
"""Bytes on standard input."""

Folder = Annotated[Path | None, typer.Option("--models", show_default="those that ship", help="The folder of bundles.")]


def show_predictions(
    photos: Sequence[Path], model: str = "", models_folder: Path | None = None, top_k: int = 5, *, as_json: bool = False
) -> None:
    """Say what is on photos: labels with their probabilities, most probable first; with `as_json` an object a line.

    The photo `-` is standard input.
    """
    from foodscene.models.answer import Answerer
    from foodscene.models.bundle import SHIPPED, find_bundle
    from foodscene.models.engine import open_engine
    from foodscene.models.pixels import PhotoError

    bundle = find_bundle(model, models_folder or SHIPPED)
    answerer = Answerer(bundle, open_engine(bundle))
    failed = False
    for photo in photos:
        try:
            found = answerer.answer(_given() if str(photo) == "-" else photo, top_k)
        except (PhotoError, OSError) as error:
            failed = True
            reason = "There is no such file." if isinstance(error, FileNotFoundError) else str(error)
            say(line_of(str(photo), bundle, reason) if as_json else f"{photo}: {reason}", err=not as_json)
            continue
        say(line_of(str(photo), bundle, found) if as_json else _in_words(photo, bundle, found))
    if failed:
        raise typer.Exit(1)


def line_of(photo: str, bundle: "Bundle", found: "Answer | str") -> str:
    """What a bundle says of a photo, or why it says nothing, as a JSON object in one line."""
    from foodscene.models.answer import reliance

    if isinstance(found, str):
        return json.dumps({"photo": photo, "error": found})
    labels = [{"label": label, "probability": round(probability, 6)} for label, probability in found.predictions]
    said = reliance(bundle, found)
    said |= {"sure": found.sure} if said else {}
    return json.dumps({"photo": photo, "model": bundle.name, "predictions": labels, **said})


def _in_words(photo: Path, bundle: "Bundle", found: "Answer") -> str:
    from foodscene.models.text import printable, with_article

    lines = [f"{photo}  ({bundle.name})"]
    if found.known is False:
        perhaps = f" Perhaps {with_article(printable(found.fallback.label))}?" if found.fallback else ""
        lines.append(f"  This is nothing that it knows.{perhaps} The nearest labels:")
    shown = [(printable(label), probability) for label, probability in found.predictions]
    width = max(len(label) for label, _ in shown)
    lines += [f"  {label:<{width}}  {share:6.1%}  {'█' * round(share * 30)}" for label, share in shown]
    if found.set and bundle.card.conformal:
        share = bundle.card.conformal.coverage * 100
        lines.append(f"  One of these, right {share:.0f} times of 100: {', '.join(map(printable, found.set))}")
    return "\n".join(lines)


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
    lacking = {name: why for name, bundle in bundles.items() if (why := _lacking(bundle, bundles))}
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
                "fallback": bundle.card.fallback
                and {"bundle": bundle.card.fallback.bundle, "lacking": lacking.get(name)},
                **bundle.card.model_dump(mode="json", include={"metrics"}),
            }
            for name, bundle in bundles.items()
        ]
        say(json.dumps(rows, indent=2))
        return
    from foodscene.models.text import estimate

    usable = {name: bundle for name, bundle in bundles.items() if not isinstance(bundle, BundleError)}
    default = default_name(usable, {name for name, bundle in usable.items() if bundle.card.foreign})
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
        if name in lacking:
            said = f"[yellow]{escape(name)} goes without its fallback, by familiarity alone:[/] {escape(lacking[name])}"
            console.print(said, soft_wrap=True)


def _lacking(bundle: "Bundle | BundleError", bundles: "dict[str, Bundle | BundleError]") -> str:
    """Why a bundle goes without the fallback that its card names; empty where it does not."""
    from foodscene.models.bundle import Bundle
    from foodscene.models.fallback import FallbackError, check

    if not isinstance(bundle, Bundle) or bundle.card.fallback is None:
        return ""
    name = bundle.card.fallback.bundle
    other = bundles.get(name)
    try:
        check(bundle, other if isinstance(other, Bundle) else None, name)
    except FallbackError as error:
        return str(error)
    return ""


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
