"""The commands `runs …`: the log of all runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foodscene.models.terminal import say

if TYPE_CHECKING:
    from foodscene.training.runs.run import Run

runs = typer.Typer(
    help="The log of runs: list them, look into one, draw and compare them.", invoke_without_command=True
)


Root = Annotated[Path, typer.Option("--runs", help="The folder of runs.")]
Which = Annotated[str, typer.Argument(metavar="N", help="A run: its number in the list, or (part of) its name.")]


@runs.callback()
def listing(
    context: typer.Context,
    root: Root = Path("runs"),
    sort: Annotated[
        str, typer.Option(help="By which figure, the best first: top1, loss, val_top1, seconds …")
    ] = "top1",
    where: Annotated[
        list[str] | None, typer.Option(help="Only those: recipe=food/*, status=finished, top1>0.8. May be repeated.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="How many to show.")] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="The records as a JSON list, for programs.")] = False,
) -> None:
    """List the runs, the best first."""
    context.obj = root
    if context.invoked_subcommand:
        return
    from rich.table import Column, Table

    from foodscene.models.terminal import open_console
    from foodscene.training.runs import log

    found, refused = log.survey(root)
    numbers = {one.name: number for number, one in enumerate(found, start=1)}
    chosen = log.order(log.select(found, where or []), sort)
    if as_json:
        records = [{**one.record, "name": one.name} for one in chosen]
        errors = [{"name": name, "error": reason} for name, reason in refused.items()]
        say(json.dumps(records + errors, indent=2))
        return
    columns = ("top1", "top5", "loss", "val_top1")
    extra = [sort] if sort not in columns else []
    name = Column("run", no_wrap=True)
    table = Table("N", name, "data", *columns, *extra, "epochs", "status", box=None, header_style="bold")
    for one in chosen[:most]:
        figures = [_figure(log.fact(one, key)) for key in (*columns, *extra, "epochs")]
        data, status = (str(log.fact(one, key) or "") for key in ("data", "status"))
        table.add_row(str(numbers[one.name]), one.name, data, *figures, status)
    console = open_console()
    console.print(table)
    if len(chosen) > most:
        console.print(f"… and {len(chosen) - most} more: --most {len(chosen)}", highlight=False)
    for reason in refused.values():
        console.print(f"Left out: {reason}", highlight=False)


@runs.command()
def show(
    context: typer.Context,
    which: Which,
    part: Annotated[str | None, typer.Argument(help="Only this part: test, recipe.optimizer, history …")] = None,
) -> None:
    """Print a run's record, whole or a part of it."""
    from foodscene.training.runs import log
    from foodscene.training.runs.run import RunError

    one = _choose(context, which)
    record = {**one.record, "name": one.name}
    if part is None:
        say(json.dumps({**record, "history": one.load_history()}, indent=2))
        return
    value = one.load_history() if part == "history" else log.fact(one, part)
    if value is None:
        raise RunError(f"{one.name} has no {part}. It has {', '.join([*one.record, 'history'])}.")
    say(json.dumps(value, indent=2))


@runs.command()
def plot(
    context: typer.Context,
    which: Annotated[list[str], typer.Argument(metavar="N…", help="Runs: their numbers or names.")],
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("histories.svg"),
) -> None:
    """Draw the histories of runs over each other."""
    from foodscene.models import files
    from foodscene.training.reports import charts
    from foodscene.training.runs.run import RunError

    files.check_output(out)
    chosen = {one.name: one.load_history() for one in (_choose(context, name) for name in which)}
    if empty := [name for name, rows in chosen.items() if not rows]:
        raise RunError(f"{', '.join(empty)} has no epochs yet.")
    files.write_output(out, charts.histories(chosen).encode())
    say(f"Drawn: {out}")


@runs.command()
def compare(context: typer.Context, first: Which, second: Which) -> None:
    """Show what differs between two runs, and whether their figures differ by more than chance."""
    from rich.table import Table

    from foodscene.models.terminal import open_console
    from foodscene.training.runs import log
    from foodscene.training.runs.run import RunError

    one, other = _choose(context, first), _choose(context, second)
    difference = log.compare(one, other)
    console = open_console()
    shown = {"setting": difference.settings, "figure": difference.figures}
    if difference.others:
        del shown["figure"]
    for title, rows in shown.items():
        table = Table(title, one.name, other.name, box=None, header_style="bold")
        for key, (left, right) in rows.items():
            table.add_row(key, _figure(left), _figure(right))
        console.print(table if rows else f"No {title} differs.", "")
    if difference.others:
        raise RunError(
            f"{one.name} and {other.name} were measured on other photos, with none in common, so their figures cannot "
            "be compared. Measure both bundles on the same ones: foodscene evaluate BUNDLE --data PHOTOS."
        )
    console.print(_verdict(difference), highlight=False)


@runs.command()
def report(context: typer.Context, which: Which) -> None:
    """Make a run's report.html anew from what lies in its folder."""
    from foodscene.training.reports import report as reports

    say(f"Report: {reports.write(_choose(context, which).folder)}")


@runs.command("import")
def take_in(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Old records: a JSON file per training.")],
) -> None:
    """Take in records of the old kind, one JSON file per training."""
    from foodscene.training.runs import legacy

    for path in files:
        say(f"{path} -> {legacy.take_in(path, context.obj).folder}")


@runs.command()
def mirror(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="MLflow's address: a server's URL, or sqlite:///mlflow.db.")],
    experiment: Annotated[str, typer.Option(help="The experiment in MLflow that they belong to.")] = "foodscene",
) -> None:
    """Copy the runs that have ended into MLflow, and what is new of those that went on since they were copied."""
    from foodscene.training.runs import log
    from foodscene.training.runs import mlflow as mirrors

    say(f"{mirrors.mirror(log.find_runs(context.obj), to, experiment)} runs copied to {to}")


def _choose(context: typer.Context, name: str) -> "Run":
    from foodscene.training.runs import log

    return log.find_run(log.find_runs(context.obj), name)


def _verdict(difference: Any) -> str:
    if difference.chance is None:
        return "They did not answer the same test photos, as far as is known: chance cannot be told from a difference."
    said = (
        f"Of {difference.photos:,} test photos in common, {difference.only_first} are right in the first run alone, "
        f"{difference.only_second} in the second alone. "
    )
    if difference.chance < 0.05:
        return f"{said}That is beyond chance (McNemar, p = {difference.chance:.2g})."
    return f"{said}That may be chance (McNemar, p = {difference.chance:.2g})."


def _figure(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
