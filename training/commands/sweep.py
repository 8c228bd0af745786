"""The command `sweep`: a search for the best settings of a recipe."""

import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foodscene.training.commands.train import summary
from foodscene.training.terminal import stop_cleanly

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from rich.console import Console

    from foodscene.training.sweep.workers import Workers

_CORES = os.cpu_count() or 1
_PAUSE = 0.5
"""Seconds between two looks at the processes and their trials."""


def sweep(
    space: Annotated[Path, typer.Argument(metavar="SPACE.toml", help="What is searched: see docs/sweep.md.")],
    data: Annotated[list[Path], typer.Option(help="A folder of photos, or an archive as downloaded. May be repeated.")],
    folder: Annotated[Path | None, typer.Option(show_default="sweeps/NAME", help="The sweep's folder.")] = None,
    jobs: Annotated[
        int, typer.Option(min=1, show_default="the cores, at most 4", help="Trials at a time; they share the cores.")
    ] = min(4, _CORES),
    weights: Annotated[str | None, typer.Option(help="A backbone's weights: a file, or 'imagenet', or 'none'.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Train the trials again that failed.")] = False,
) -> None:
    """Search for the best settings of a recipe, then train these for longer and write the bundle.

    The same command again goes on after an interruption, and joins in from another machine that sees the folder.
    """
    stop_cleanly()
    from foodscene.models.terminal import open_console

    console = open_console(soft_wrap=True, highlight=False)
    for path in data:
        if not path.exists():
            raise typer.BadParameter(f"there is no {path}", param_hint="--data")
    folder = folder or Path("sweeps") / space.stem
    try:
        _search(space, [path.resolve() for path in data], folder, jobs, weights, retry, console)
    except KeyboardInterrupt:
        again = ["foodscene", "sweep", str(space), *(part for path in data for part in ("--data", str(path)))]
        again += ["--folder", str(folder), "--jobs", str(jobs), *(["--weights", weights] if weights else [])]
        console.print(f"Stopped. Go on with: {shlex.join(again)}")
        raise


def _search(
    source: Path, data: list[Path], folder: Path, jobs: int, weights: str | None, retry: bool, console: "Console"
) -> None:
    from foodscene.training.sweep import space as spaces
    from foodscene.training.sweep import sweep as search
    from foodscene.training.sweep.workers import Workers

    space = search.open_sweep(folder, source, search.fingerprint(spaces.read_space(source), data))
    study = search.study_of(folder, space)
    interrupted = search.recover(folder, study)
    failed = search.retry(folder, study, weights, every=retry)
    said = f", of which {interrupted} were interrupted and go on" if interrupted else ""
    said += f", of which {failed} failed and are tried again" if failed else ""
    console.print(f"{len(search.trials(study))} trials{said}, {jobs} at a time. Table: {folder / 'trials.csv'}")
    console.print(f"Curves: tensorboard --logdir {folder / 'runs'}")
    workers = Workers(folder, data, weights, jobs)
    try:
        while search.tickets_left(study) or search.under_way(study):
            _until_all_ended(study, workers, console)
            study = search.study_of(folder, space)  # somebody may have widened the space meanwhile
    finally:
        workers.stop()
    _train_best(folder, study, data, weights, console)


def _until_all_ended(study: "Study", workers: "Workers", console: "Console") -> None:
    """Train until every trial has ended, those on other machines too; tell of every one that ends."""
    from foodscene.training.sweep import sweep as search

    told = {search.name_of(one) for one in search.trials(study) if one.state.is_finished()}
    waits_for: set[str] = set()
    while True:
        at_work = workers.look(study)
        for one in search.trials(study):
            if one.state.is_finished() and search.name_of(one) not in told:
                told.add(search.name_of(one))
                console.print(_line(one))
        others = {f"{search.name_of(one)} ({one.user_attrs.get('worker')})" for one in search.under_way(study)}
        if not at_work and not others and not search.tickets_left(study):
            return
        if not at_work and others - waits_for:
            console.print(f"Waiting for {', '.join(sorted(others))}, which other processes train.")
            waits_for |= others
        time.sleep(_PAUSE)


def _train_best(folder: Path, study: "Study", data: list[Path], weights: str | None, console: "Console") -> None:
    """Train the best settings for longer and write the bundle; goes on where that was interrupted."""
    from foodscene.training import train as story
    from foodscene.training.loop.progress import Terminal
    from foodscene.training.recipes import recipe
    from foodscene.training.runs import run
    from foodscene.training.sweep import space as spaces
    from foodscene.training.sweep import sweep as search

    space = spaces.read_space(folder / "space.toml")  # which may be wider by now than when this process began
    best = search.best(study)
    settings = space.overrides(best.params, final=True)
    if other := search.who_trains_the_best(folder):
        console.print(f"The best is trained by {other}: waiting for it.")
    with search.training_the_best(folder):
        place = search.place_of_the_best(folder, recipe.load(space.recipe, settings).record(), weights)
        begun = run.read_run(place) if (place / "run.json").exists() else None
        if begun and begun.finished:
            console.print(f"The best is trained already: {place}")
            return
        figure = f"top-1 {best.value:.4f} on validation photos"
        console.print(f"Best: {search.name_of(best)}, {figure}. Training it: {' '.join(settings)}")
        watch, tell = Terminal(console), console.print
        if begun and not begun.stillborn:
            outcome = story.resume(place, data=data, threads=_CORES, watch=watch, tell=tell)
        else:
            outcome = story.train(
                space.recipe,
                data,
                settings=settings,
                weights=weights,
                run=place,
                threads=_CORES,
                watch=watch,
                tell=tell,
            )
    summary(outcome, console)


def _line(trial: "FrozenTrial") -> str:
    """A trial in a line: its state, its figure, its settings."""
    from foodscene.training.sweep import sweep as search

    figure = f"{trial.value:.4f}" if trial.value is not None else "      "
    settings = "  ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in trial.params.items()
    )
    name, error = search.name_of(trial), search.error_of(trial)
    return f"{name}  {trial.state.name.lower():<8}  {figure}  {settings}{f'  {error}' if error else ''}"
