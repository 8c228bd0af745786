"""The commands `evaluate` and `calibrate`: a bundle measured, and its probabilities made honest."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from models.bundle import Bundle
    from training.data import Data
    from training.evaluation import Evaluation

BundleName = Annotated[
    str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or its name among those that ship.")
]
Photos = Annotated[
    list[Path], typer.Option("--data", help="A folder of photos, or an archive as downloaded. May be repeated.")
]
Layout = Annotated[str | None, typer.Option(show_default="found out", help="The data set's layout.")]


def evaluate(
    bundle: BundleName,
    data: Photos,
    split: Annotated[
        str, typer.Option(help="Which photos: test, validation, train, or all that have a label.")
    ] = "test",
    layout: Layout = None,
    out: Annotated[Path | None, typer.Option(help="Write the report, pictures and tables into this folder.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Put the figures into the bundle's card.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Measure a bundle on photos that it was not trained on, through the same pixels and engine as serving.

    Several data sets are measured one by one and together; the data set's classes are matched to the labels by name.
    """
    from rich.console import Console

    from models.engine import open_engine
    from training import evaluation

    found = _bundle(bundle)
    engine = open_engine(found)
    loaded = [_load(found, path, layout) for path in data]
    each = {one.name: evaluation.evaluate(engine, found.labels, one, _rows(one, split)) for one in loaded}
    whole = evaluation.join(list(each.values()))
    speed = evaluation.milliseconds(found)
    if save:
        evaluation.save(found, whole)
    if out:
        from training import report

        report.review(out, found, loaded, whole, _model(found))
    if as_json:
        parts = {name: one.as_json() for name, one in each.items()} if len(each) > 1 else {}
        typer.echo(
            json.dumps({"bundle": found.name, "milliseconds": speed, **whole.as_json(), "parts": parts}, indent=2)
        )
        return
    # Where nobody's window is to be filled, lines may be as long as they are.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(
        _figures({**each, "together": whole} if len(each) > 1 else each),
        f"\n{speed:.1f} ms a photo on one core",
        highlight=False,
    )
    console.print(_classes(whole), _mistakes(whole), sep="\n\n", highlight=False)
    if out:
        console.print(f"\nReport: {out / 'report.html'}", highlight=False)


def calibrate(
    bundle: BundleName,
    data: Photos,
    layout: Layout = None,
) -> None:
    """Fit a bundle's temperature on the validation photos of its data, and write the bundle with it.

    Training does this by itself; this is for bundles that were made elsewhere.
    """
    import numpy as np

    from models import bundle as bundles
    from models.engine import KerasEngine, open_engine
    from training import calibration, evaluation

    found = _bundle(bundle)
    engine, keras_engine = open_engine(found), KerasEngine(found)
    loaded = [_load(found, path, layout) for path in data]
    measured = evaluation.join(
        [evaluation.evaluate(engine, found.labels, one, _rows(one, "validation")) for one in loaded]
    )
    factor = calibration.fit(measured.probabilities, measured.truths)
    model = calibration.calibrated(keras_engine.model, factor)
    sample = np.asarray(loaded[0].pixels[:16])
    bundles.write(found.folder, model, found.labels, found.card, sample, _others(found))
    typer.echo(f"Temperature {calibration.read(model):.3f}, fitted on {len(measured.truths):,} validation photos.")


def _model(bundle: "Bundle") -> Any:
    """The Keras model of a bundle, for pictures of what it sees; None where Keras is not installed."""
    import importlib.util

    from models.engine import KerasEngine

    return KerasEngine(bundle).model if importlib.util.find_spec("keras") else None


def _bundle(name: str) -> "Bundle":
    """A folder, or a shipped bundle by its name."""
    from models.bundle import SHIPPED, choose, read

    return read(Path(name)) if Path(name).is_dir() else choose(name, SHIPPED)


def _load(bundle: "Bundle", path: Path, layout: str | None) -> "Data":
    """The photos at the bundle's size, split as they were when it was trained."""
    from training import data

    if not path.exists():
        raise typer.BadParameter(f"there is no {path}", param_hint="--data")
    trained = bundle.card.recipe.get("settings", {})
    read = trained.get("data", {})
    return data.load(
        path,
        bundle.spec,
        layout=layout or read.get("layout"),
        crop_boxes=read.get("crop_boxes", False),
        fractions=tuple(read.get("fractions", (0.7, 0.2, 0.1))),
        seed=trained.get("seed", 0),
    )


def _rows(data: "Data", split: str) -> Any:
    import numpy as np

    if split not in ("train", "validation", "test", "all"):
        raise typer.BadParameter("it is test, validation, train or all", param_hint="--split")
    return np.flatnonzero(data.labels >= 0) if split == "all" else getattr(data, split)


def _others(bundle: "Bundle") -> dict[str, str | bytes]:
    """The files of a bundle that `bundle.write` does not make itself."""
    made = {"model.h5", "model.onnx", "labels.txt", "card.json"}
    return {
        path.name: path.read_bytes() for path in bundle.folder.iterdir() if path.is_file() and path.name not in made
    }


def _figures(evaluations: "dict[str, Evaluation]") -> Any:
    """A column for each data set."""
    from rich.table import Table

    from training.measures import calibration_floor

    table = Table("", *evaluations, box=None, header_style="bold")
    every = list(evaluations.values())
    table.add_row("photos", *(f"{len(one.truths):,}" for one in every))
    table.add_row("top-1", *(_interval(one.top1) for one in every))
    table.add_row("top-5", *(_interval(one.top5) if one.top5 else "" for one in every))
    table.add_row("loss", *(f"{one.loss:.4f}" for one in every))
    table.add_row("calibration error", *(f"{one.calibration_error:.4f}" for one in every))
    table.add_row("  by chance alone", *(f"{calibration_floor(one.probabilities):.4f}" for one in every))
    return table


def _classes(evaluation: "Evaluation") -> Any:
    from rich.table import Table

    table = Table("label", "photos", "precision", "recall", "F1", "most often taken for", box=None, header_style="bold")
    for column in table.columns[1:5]:
        column.justify = "right"
    for label, one in evaluation.per_class.items():
        row = evaluation.matrix[evaluation.labels.index(label)].copy()
        row[evaluation.labels.index(label)] = 0
        other = f"{evaluation.labels[row.argmax()]} ({row.max()})" if row.any() else ""
        table.add_row(label, f"{one.photos:,}", f"{one.precision:.3f}", _interval(one.recall), f"{one.f1:.3f}", other)
    return table


def _mistakes(evaluation: "Evaluation") -> Any:
    from rich.table import Table

    table = Table("surest mistakes", "is", "told", "probability", box=None, header_style="bold")
    for mistake in evaluation.mistakes(8):
        table.add_row(mistake.name, mistake.true, mistake.told, f"{mistake.probability:.3f}")
    return table


def _interval(share: Any) -> str:
    return f"{share.value:.4f} ({share.low:.3f}-{share.high:.3f})"
