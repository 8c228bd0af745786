"""The command `evaluate`: a bundle measured."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foodscene.models.terminal import say
from foodscene.training.terminal import quiet_stderr

if TYPE_CHECKING:
    from foodscene.models.bundle import Bundle
    from foodscene.models.card import CardConformal
    from foodscene.training.evaluation.confidence import Confidence
    from foodscene.training.evaluation.evaluation import Evaluation
    from foodscene.training.evaluation.out_of_distribution import OutOfDistribution

BundleName = Annotated[
    str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or its name among those that ship.")
]
DataPaths = Annotated[
    list[Path], typer.Option("--data", help="A folder of photos, or an archive as downloaded. May be repeated.")
]
Layout = Annotated[str | None, typer.Option(show_default="found out", help="The data set's layout.")]
Labels = Annotated[
    str | None,
    typer.Option(show_default="folders", help="Where the labels are: a CSV file, or 'names' (cat.0.jpg)."),
]


def evaluate(  # noqa: PLR0917 - typer passes by name
    bundle: BundleName,
    data: DataPaths,
    split: Annotated[
        str, typer.Option(help="Which photos: test, validation, train, or all that have a label.")
    ] = "test",
    layout: Layout = None,
    labels: Labels = None,
    outside: Annotated[
        list[Path] | None,
        typer.Option(
            "--ood",
            "--strangers",
            metavar="[NAME=]PATH",
            help="Out-of-distribution photos, of nothing that the model knows: does it tell them apart? "
            "Noise always is among them. May be repeated.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report, pictures and tables into this folder.")] = None,
    altered: Annotated[
        bool, typer.Option("--altered/--no-altered", help="In the report, photos turned, blurred …: up to a minute.")
    ] = True,
    save: Annotated[bool, typer.Option("--save", help="Put the figures into the bundle's card.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Measure a bundle on photos that it was not trained on, through the same pixels and engine as serving.

    Several data sets are measured one by one and together; the data set's classes are matched to the labels by name.
    """
    from foodscene.models.engine import open_engine
    from foodscene.models.terminal import open_console
    from foodscene.training.datasets import labelled
    from foodscene.training.evaluation import confidence, conformal, inference
    from foodscene.training.evaluation import out_of_distribution as ood
    from foodscene.training.evaluation.outputs import opened
    from foodscene.training.reports import model_card

    found = find_named(bundle)
    if save and split != "test":
        raise typer.BadParameter("a card's figures are those of test photos: leave out --split", param_hint="--save")
    if out:
        with quiet_stderr():
            from foodscene.training.reports import report  # whose pictures take Keras
        report.check(out)
    for path in outside or []:
        exists(labelled(path)[1], "--ood")
    engine = open_engine(found)
    for path in data:
        exists(path, "--data")
    loaded, each, whole = inference.measure(found, engine, data, split, layout, labels)
    sure_above = found.card.sure_above
    looking = opened(found, engine)
    photos = [(ood.NOISE, looking.at_pixels(ood.noise(found.spec), ood.NOISE))]
    photos += [ood.see(looking, path) for path in outside or []]
    unknown = [ood.measure(found, name, seen, whole) for name, seen in photos]
    speed = inference.milliseconds(found)
    if save:
        model_card.save(found, whole, each, unknown)
    if out:
        report.review(out, found, loaded, whole, _model(found), unknown, altered=altered)
    certain = confidence.measure_sure(whole.probabilities, whole.right, sure_above, whole.familiar)
    promised = found.card.conformal
    if as_json:
        several = each if len(each) > 1 else {}
        parts = {name: {**one.as_json(), **conformal.as_json(one, promised)} for name, one in several.items()}
        left_out = {"left_out": dict(whole.left_out)}
        figures = {**whole.as_json(), **left_out, **confidence.as_json(certain)}
        figures |= {**conformal.as_json(whole, promised), "out_of_distribution": ood.as_json(unknown)}
        say(json.dumps({"bundle": found.name, "milliseconds": speed, **figures, "parts": parts}, indent=2))
        return
    console = open_console()
    console.print(
        _figures({**each, "together": whole} if len(each) > 1 else each, promised),
        f"\n{speed:.1f} ms a photo on one core",
        highlight=False,
    )
    for table in (
        _left_out(whole),
        _repeated(list(each.values())),
        _certain(certain, unknown),
        _classes(whole),
        _mistakes(whole),
    ):
        console.print("", table, highlight=False)
    if out:
        console.print(f"\nReport: {out / 'report.html'}", highlight=False)


def _repeated(each: "list[Evaluation]") -> str:
    """That the sum has some photos more than once."""
    from foodscene.training.evaluation.evaluation import in_several

    again = in_several(each)
    return (
        f"{again:,} photos are in more than one of the data sets: they count in each, and in the sum." if again else ""
    )


def _model(bundle: "Bundle") -> Any:
    """The Keras model of a bundle, for pictures of what it sees; None where there is no Keras to read it."""
    import importlib.util

    from foodscene.models.engine import KerasEngine

    if bundle.exported or not importlib.util.find_spec("keras"):
        return None
    with quiet_stderr():
        return KerasEngine(bundle).model


def find_named(name: str) -> "Bundle":
    """A folder, or a shipped bundle by its name."""
    from foodscene.models.bundle import SHIPPED, find_bundle

    return find_bundle(name, SHIPPED)


def exists(path: Path, option: str) -> None:
    """Make sure that an option's path is there."""
    if not path.exists():
        raise typer.BadParameter(f"there is no {path}", param_hint=option)


def _figures(evaluations: "dict[str, Evaluation]", promised: "CardConformal | None") -> Any:
    """A column for each data set."""
    from rich.table import Table

    from foodscene.training.evaluation import conformal
    from foodscene.training.evaluation.metrics import calibration_floor, share

    table = Table("", *evaluations, box=None, header_style="bold")
    every = list(evaluations.values())
    table.add_row("photos", *(f"{len(one.targets):,}" for one in every))
    table.add_row("top-1", *(_interval(one.top1) for one in every))
    table.add_row("top-5", *(_interval(one.top5) if one.top5 else "" for one in every))
    table.add_row("loss", *(f"{one.loss:.4f}" for one in every))
    table.add_row("calibration error", *(f"{one.calibration_error:.4f}" for one in every))
    table.add_row("  by chance alone", *(f"{calibration_floor(one.probabilities):.4f}" for one in every))
    if all(one.known is not None for one in every):
        known = [one.known for one in every if one.known is not None]
        table.add_row("called known", *(_interval(share(int(one.sum()), len(one))) for one in known))
    if promised:
        sets = [conformal.measure(one.probabilities, one.targets, promised.quantile) for one in every]
        table.add_row("sets with the right label", *(_interval(one.coverage) for one in sets))
        table.add_row("labels in a set", *(f"{one.size:.2f}" for one in sets))
    return table


def _left_out(evaluation: "Evaluation") -> Any:
    """How many photos were not measured, as the model does not know their classes."""
    from rich.text import Text

    from foodscene.models.text import printable
    from foodscene.training.datasets.names import listed

    if not evaluation.left_out:
        return ""
    photos, classes = sum(evaluation.left_out.values()), len(evaluation.left_out)
    return Text.assemble(
        ("Left out:", "yellow"),
        f" {photos:,} photos of {classes:,} {'class' if classes == 1 else 'classes'} "
        f"that the model does not know: {printable(listed(evaluation.left_out))}.",
    )


def _certain(certain: "Confidence", unknown: "list[OutOfDistribution]") -> Any:
    """What the model calls sure, and of which photos out of distribution it is not."""
    from rich.table import Table

    above = f"sure from {certain.above:.2f} on"
    columns = (above, "photos", "", "called known", "AUROC", "false alarms", "by probability")
    table = Table(*columns, box=None, header_style="bold")
    table.columns[1].justify = "right"
    table.add_row("sure of", "", _interval(certain.sure))
    if certain.sure.value:
        table.add_row("  of these right", "", _interval(certain.right))
    for one in unknown:
        known = f"{one.known.value:.4f}" if one.known else ""
        by, probable = one.decides, one.probability
        other = f"{probable.auroc:.4f}, {probable.false_alarms:.4f}" if one.familiarity else ""
        separation = (f"{by.auroc:.4f}", f"{by.false_alarms:.4f}", other)
        table.add_row(f"not sure of {one.name}", f"{one.photos:,}", _interval(one.unsure), known, *separation)
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

    table = Table("surest mistakes", "is", "predicted", "probability", box=None, header_style="bold")
    for mistake in evaluation.mistakes(8):
        table.add_row(mistake.name, mistake.true, mistake.predicted, f"{mistake.probability:.3f}")
    return table


def _interval(share: Any) -> str:
    return f"{share.value:.4f} ({share.low:.3f}-{share.high:.3f})"
