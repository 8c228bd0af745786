"""The command `sweep`: a search for the best settings of a recipe."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foodscene.training.commands.train import summary
from foodscene.training.terminal import stop_cleanly

if TYPE_CHECKING:
    import multiprocessing.context

    from optuna import Study
    from optuna.trial import FrozenTrial

    from foodscene.training.sweep.space import Space

    Process = multiprocessing.context.SpawnProcess

_CORES = os.cpu_count() or 1


def sweep(
    space: Annotated[Path, typer.Argument(metavar="SPACE.toml", help="What is searched: see docs/sweep.md.")],
    data: Annotated[list[Path], typer.Option(help="A folder of photos, or an archive as downloaded. May be repeated.")],
    folder: Annotated[Path | None, typer.Option(show_default="sweeps/NAME", help="The sweep's folder.")] = None,
    jobs: Annotated[
        int, typer.Option(min=1, show_default="the cores, at most 4", help="Trials at a time; they share the cores.")
    ] = min(4, _CORES),
    weights: Annotated[str | None, typer.Option(help="A backbone's weights: a file, or 'imagenet', or 'none'.")] = None,
) -> None:
    """Search for the best settings of a recipe, then train these for longer and write the bundle.

    The same command again goes on after an interruption, and joins in from another machine that sees the folder.
    """
    from foodscene.models.terminal import open_console
    from foodscene.training.sweep import sweep as search

    console = open_console(soft_wrap=True, highlight=False)
    for path in data:
        if not path.exists():
            raise typer.BadParameter(f"there is no {path}", param_hint="--data")
    folder = folder or Path("sweeps") / space.stem
    data = [path.resolve() for path in data]
    settings = search.open_sweep(folder, space)
    again = search.recover(folder, settings)
    study = search.study_of(folder, settings)
    count = len(search.trials(study))
    said = f", of which {again} were interrupted and go on" if again else ""
    console.print(f"{count} trials{said}, {jobs} at a time. Table: {folder / 'trials.csv'}")
    console.print(f"Curves: tensorboard --logdir {folder / 'runs'}")
    stop_cleanly()
    start = _starter(folder, data, weights, jobs)
    _run(folder, settings, study, jobs, start, console)
    # A process of a killed sweep may have outlived it for a moment, and have held a trial when this one began.
    while search.recover(folder, settings):
        _run(folder, settings, study, jobs, start, console)
    _train_best(folder, settings, study, data, weights, console)


def _starter(folder: Path, data: list[Path], weights: str | None, jobs: int) -> "Callable[[int], Process]":
    """What starts a process that takes trials, given its number."""
    import multiprocessing

    threads = max(1, _CORES // jobs)
    # Read by the backends when the processes start: their share of the cores, and no more GPU memory than they use.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    context = multiprocessing.get_context("spawn")

    def start(number: int) -> "Process":
        log = folder / f"worker-{number}.log"
        process = context.Process(target=_work, args=(log, folder, data, weights, threads))
        process.start()
        return process

    return start


def _work(log: Path, folder: Path, data: list[Path], weights: str | None, threads: int) -> None:
    """Take trials until none is left, in a process of its own, whose output goes to `log`."""
    import signal

    from foodscene.training.sweep import sweep as search

    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its processes
    search.work(folder, data, weights, threads)


def _run(
    folder: Path, space: "Space", study: "Study", jobs: int, start: "Callable[[int], Process]", console: Any
) -> None:
    """Keep as many processes at work as are wanted, until there is no trial left; tell of every one that ends."""
    import time

    from foodscene.training.sweep import sweep as search

    told: set[str] = {_name(one) for one in search.trials(study) if one.state.is_finished()}
    processes = {number: start(number) for number in range(jobs) if search.tickets_left(study)}
    try:
        while processes:
            time.sleep(0.5)
            for number, process in list(processes.items()):
                if process.is_alive():
                    continue
                del processes[number]
                if process.exitcode:
                    search.recover(folder, space, died=f"the process ended with code {process.exitcode}")
                    if search.tickets_left(study):
                        processes[number] = start(number)
            for one in search.trials(study):
                if one.state.is_finished() and _name(one) not in told:
                    told.add(_name(one))
                    console.print(_line(study, one))
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.join()


def _train_best(
    folder: Path, space: "Space", study: "Study", data: list[Path], weights: str | None, console: Any
) -> None:
    """Train the best settings for longer and write the bundle; goes on where that was interrupted."""
    from foodscene.training import train as story
    from foodscene.training.loop.progress import Terminal
    from foodscene.training.runs import run
    from foodscene.training.sweep import sweep as search

    best = search.best(study)
    place = folder / "best"
    begun = (place / "run.json").exists()
    if begun and run.read_run(place).finished:
        console.print(f"The best is trained already: {place}")
        return
    settings = space.overrides(best.params, final=True)
    console.print(
        f"Best: {_name(best)}, top-1 {best.value:.4f} on validation photos. Training it: {' '.join(settings)}"
    )
    watch, tell = Terminal(console), console.print
    if begun:
        outcome = story.resume(place, data=data, threads=_CORES, watch=watch, tell=tell)
    else:
        outcome = story.train(
            space.recipe, data, settings=settings, weights=weights, run=place, threads=_CORES, watch=watch, tell=tell
        )
    summary(outcome, console)


def _name(trial: "FrozenTrial") -> str:
    return str(trial.user_attrs.get("run", trial.number))


def _line(study: "Study", trial: "FrozenTrial") -> str:
    """A trial in a line: its state, its figure, its settings."""
    figure = f"{trial.value:.4f}" if trial.value is not None else "      "
    settings = "  ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in trial.params.items()
    )
    error = trial.user_attrs.get("error") or study.user_attrs.get(f"died-{trial.number}", "")
    return f"{_name(trial)}  {trial.state.name.lower():<8}  {figure}  {settings}{f'  {error}' if error else ''}"
