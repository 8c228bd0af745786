"""What a check found, for people: a table in the terminal, a page with contact sheets."""

from jinja2 import Environment, PackageLoader
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from foodscene.training.data import contact_sheet, splits
from foodscene.training.data.check import Finding, Report, describe

_SHOWN = 5
_PICTURED = 48


def print_report(report: Report, console: Console) -> None:
    """Print the classes and what was found."""
    for name, value in report.summary().items():
        if value:
            console.print(f"[dim]{name}[/] {escape(_plain(value))}", highlight=False)
    console.print(_classes(report))
    for finding in report.findings:
        mark = "[red]wrong[/]" if finding.kind.wrong else "[cyan]note[/] "
        console.print(
            f"{mark} [bold]{finding.count}[/] {finding.kind.title}. [dim]{finding.kind.advice}[/]", highlight=False
        )
        for line in lines(report, finding)[:_SHOWN]:
            console.print(f"      {line}", highlight=False, markup=False, overflow="fold")
        if finding.count > _SHOWN:
            console.print(f"      … and {finding.count - _SHOWN} more (all of them with --json)")
    if not report.findings:
        console.print("[green]Nothing found.[/]")


def lines(report: Report, finding: Finding) -> list[str]:
    """A line of text per group or note of a finding."""
    if not finding.groups:
        return list(finding.notes)
    names = [" = ".join(describe(report, index) for index in group) for group in finding.groups]
    return [f"{name}: {note}" for name, note in zip(names, finding.notes, strict=True)] if finding.notes else names


def html(report: Report) -> str:
    """The report as a page that is a single file."""
    page = Environment(loader=PackageLoader("foodscene.training"), autoescape=True, trim_blocks=True).get_template(
        "check.html"
    )
    return page.render(
        report=report,
        summary={name: _plain(value) for name, value in report.summary().items() if value},
        splits=splits.SPLITS,
        pictured=_PICTURED,
        describe=lambda index: describe(report, index),
        picture=lambda index: contact_sheet.data_url(report.dataset.samples[index]),
    )


def _classes(report: Report) -> Table:
    own = [split for split in splits.SPLITS if any(split in count.own for count in report.classes)]
    table = Table("class", "photos", box=SIMPLE, pad_edge=False)
    for split in own:
        table.add_column(f"archive\n{split}", justify="right")
    for split in splits.SPLITS:
        table.add_column(f"used\n{split}", justify="right")
    table.columns[1].justify = "right"
    for count in report.classes:
        figures = [count.photos, *(count.own.get(split, 0) for split in own), *count.used.values()]
        table.add_row(escape(count.label), *(str(figure) for figure in figures))
    return table


def _plain(value: object) -> str:
    return ", ".join(f"{part} {key}" for key, part in value.items()) if isinstance(value, dict) else str(value)
