"""The command that serves."""

import os
from pathlib import Path
from typing import Annotated

import typer

from foodscene.models.terminal import say


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
