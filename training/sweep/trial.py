"""A trial of a search: one training of the recipe, in a run folder of its own."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import optuna

from foodscene.training.runs.run import Row, Run
from foodscene.training.sweep.space import Space

if TYPE_CHECKING:
    from foodscene.training.recipes.recipe import Recipe


def train(
    folder: Path, space: Space, trial: optuna.Trial, data: list[Path], weights: str | None, threads: int
) -> float:
    """Train a trial in its run folder, or go on with it; its best top-1 on validation photos.

    What it answers for the test photos is kept, so that `foodscene runs compare` can tell two trials' difference from
    chance; the search itself does not see it.
    """
    from foodscene.training.recipes import recipe
    from foodscene.training.runs import run

    place = folder / "runs" / trial.user_attrs["run"]
    settings = recipe.load(space.recipe, space.overrides(trial.params))
    with run.held(place):
        current = _begun(place, settings, data, folder)
        return _train(current, settings, trial, data, weights, threads)


def _begun(place: Path, settings: "Recipe", data: list[Path], folder: Path) -> Run:
    """The trial's run, new or gone on with. Raises `RunError` where it was begun with other settings."""
    from foodscene.training.runs import run

    if not (place / "run.json").exists():
        facts = {"recipe": settings.record(), "data": [str(path) for path in data], "started": run.now()}
        return run.create(place, {"id": run.new_id(), "status": "running", **facts, "sweep": folder.name})
    begun = run.read_run(place)
    if begun.record.get("recipe") != settings.record():
        raise run.RunError(f"{place} was begun with other settings than this trial's. Name another folder: --folder.")
    begun.update(status="running", error=None)
    return begun


def _train(
    current: Run, settings: "Recipe", trial: optuna.Trial, data: list[Path], weights: str | None, threads: int
) -> float:
    from foodscene.training.data import load as photos
    from foodscene.training.export import measure
    from foodscene.training.loop import loop
    from foodscene.training.loop.progress import Both, TensorBoard

    loaded = photos.load_for(settings, data)
    current.update(dataset={"name": loaded.name, "fingerprint": loaded.fingerprint, "classes": list(loaded.classes)})
    told = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    for row in current.load_checkpoint()[1]:  # of a trial that goes on; Optuna may not have seen its last epoch
        if row["epoch"] not in told:
            trial.report(row["val_top1"], row["epoch"])
    watch = Both(TensorBoard(current.folder / "tensorboard"), _Pruning(trial))
    try:
        result = loop.train(settings, loaded, current, watch, threads=threads, weights=weights)
    except optuna.TrialPruned:
        history = current.load_checkpoint()[1]
        best = min(history, key=lambda row: row["val_loss"])
        current.update(status="pruned", epochs=len(history), best=_figures(best))
        raise
    except Exception as error:
        current.update(status="failed", error=f"{type(error).__name__}: {error}")
        raise
    finally:
        watch.close()
    if measured := measure(result, loaded):
        measured.save(current.folder / "predictions.npz")
    current.update(status="finished", epochs=len(result.history), best=_figures(result.best))
    return float(result.best["val_top1"])


def _figures(row: Row) -> Row:
    return {key: row[key] for key in ("epoch", "val_loss", "val_top1")}


class _Pruning:
    """Tells Optuna of every epoch, and ends the trial where it says so, or where the sweep itself was killed."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial, self._parent = trial, os.getppid()

    def begin(self, epoch: int, epochs: int, photos: int) -> None:
        """Nothing to tell."""

    def advance(self, photos: int) -> None:  # noqa: ARG002
        """Some photos are done."""
        if os.getppid() != self._parent:
            raise KeyboardInterrupt

    def end(self, row: Row, epochs: int) -> None:
        """An epoch is over."""
        self.advance(0)
        self._trial.report(row["val_top1"], row["epoch"])
        if row["epoch"] < epochs and self._trial.should_prune():
            raise optuna.TrialPruned

    def close(self) -> None:
        """Nothing to close."""
