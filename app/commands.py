"""The commands that answer: `serve`, and `predict`, which uses the same threads where there are many photos."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from foodscene.models.commands import Folder, line_of, show_predictions
from foodscene.models.terminal import say
from foodscene.models.text import with_article

if TYPE_CHECKING:
    from foodscene.app.bulk.answers import Row


def predict(
    photos: Annotated[
        list[str],
        typer.Argument(
            help="Photos to label: files, - for standard input, folders, patterns, archives (ARCHIVE/FOLDER for a part "
            "of one), Parquet, s3://, gs:// and https://; with --out also .txt and .csv files that list paths."
        ),
    ],
    model: Annotated[str, typer.Option(help="The bundle: its name, or its folder.")] = "",
    models_folder: Folder = None,
    top_k: Annotated[int, typer.Option(min=1, help="How many labels to give.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write a table: .csv, .jsonl or .parquet. What was stopped goes on with the same command."),
    ] = None,
    features: Annotated[
        bool, typer.Option("--features", help="Add to the table what enters the network's last layer.")
    ] = False,
) -> None:
    """Say what is on photos: labels with their probabilities, most probable first."""
    if out is None and features:
        raise typer.BadParameter("the features go into a table: name it with --out.", param_hint="--features")
    if out is not None and as_json:
        raise typer.BadParameter("lines of JSON go into a table whose name ends with .jsonl.", param_hint="--json")
    from foodscene.app.bulk.plan import is_archive, is_pattern

    def single(path: str) -> bool:
        exists = Path(path).exists()
        return path == "-" or (
            "://" not in path and not Path(path).is_dir() and (exists or not is_pattern(path)) and not is_archive(path)
        )

    if out is None and all(map(single, photos)):
        show_predictions([Path(photo) for photo in photos], model, models_folder, top_k, as_json=as_json)
        return

    from foodscene.app.bulk.job import Labeller, label, write_table
    from foodscene.models.bundle import SHIPPED, find_bundle

    bundle = find_bundle(model, models_folder or SHIPPED)
    signal.signal(signal.SIGTERM, _interrupt)  # a process that is to end, by whatever signal, keeps what it did
    labeller = Labeller(bundle, top_k, features=features)
    if out is None:

        def shown(row: "Row") -> str:
            if not as_json:
                return _as_text(row)
            found = row["error"] if row["error"] is not None else labeller.answers.answer(row)
            return line_of(row["path"], bundle, found)

        label(labeller, photos, lambda row: say(shown(row)))
        return
    try:
        outcome = write_table(labeller, bundle, photos, out)
    except KeyboardInterrupt:
        say(
            f"foodscene: Stopped. What is done is kept beside {out}, and the same command goes on from there.", err=True
        )
        raise
    failed = f", {outcome.failed:,} of them without an answer: `error` says why" if outcome.failed else ""
    say(f"{out}: {outcome.rows:,} photos{failed}." if outcome.rows is not None else f"{out} is whole.")


def _interrupt(_signal: int, frame: FrameType | None) -> None:
    """As Ctrl-C does, also where a shell began the program in the background, which does not hear Ctrl-C."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt


def _as_text(row: "Row") -> str:
    if row["error"] is not None:
        return f"{row['path']}  {row['error']}"
    if row["known"] is False:
        perhaps = f"; perhaps {with_article(row['fallback'])}" if row["fallback"] is not None else ""
        return f"{row['path']}  nothing that it knows{perhaps}"
    return f"{row['path']}  {row['label']}  {row['probability']:.1%}"


def serve(
    host: Annotated[
        str | None,
        typer.Option(
            show_default="127.0.0.1", help="The address to listen on; 0.0.0.0 for every one, :: for those of IPv6 too."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, show_default="8000", help="The port to listen on; 0: a free one, which is printed."
        ),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(show_default="those that ship", help="The folder of bundles, or one bundle.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, show_default="1", help="Server processes.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=0, show_default="its share of cores", help="Threads per process.")
    ] = None,
    engine: Annotated[str | None, typer.Option(show_default="auto", help="auto, onnx or keras.")] = None,
    root_path: Annotated[
        str | None, typer.Option(show_default="none", help="The prefix under which a proxy shows the service.")
    ] = None,
) -> None:
    """Serve the bundles: a page for people, a REST API for programs.

    Every setting can also be given as an environment variable, FOODSCENE_<NAME>; docs/serving.md lists them.
    """
    given = {
        "host": host,
        "port": port,
        "models": models,
        "workers": workers,
        "threads": threads,
        "engine": engine,
        "root_path": root_path,
    }
    # As variables, since each worker process reads its settings from the environment.
    os.environ.update({f"FOODSCENE_{name.upper()}": str(value) for name, value in given.items() if value is not None})

    from foodscene.app.server.run import bind, run, shown
    from foodscene.app.settings import SettingsError, read_settings

    settings = read_settings(lambda line: say(f"foodscene: {line}", err=True))
    if not settings.models.is_dir():
        raise SettingsError(f"{settings.models} is not a folder. Give the folder that holds the bundles with --models.")
    sockets = bind(settings.host, settings.port)
    typer.echo(f"foodscene: {shown(settings.host, sockets)}{settings.root_path}", err=True)
    run(settings, sockets)
