"""The loop of the backend `scratch`: from a recipe and its photos to the network of its best epoch, without Keras.

Photos, run folder, early stopping and calibration are those of `training.loop.loop`; it goes on in the same order.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.models.saving import Trained
from foodscene.training.augmentation import AugmentationEngine
from foodscene.training.data.load import Data
from foodscene.training.evaluation import calibration, confidence
from foodscene.training.evaluation.metrics import TOP
from foodscene.training.loop.batches import Batches
from foodscene.training.loop.phases import over, phases
from foodscene.training.loop.photo_feed import PhotoFeed
from foodscene.training.loop.progress import Watch
from foodscene.training.loop.result import (
    Result,
    TrainingError,
    diverged,
    improves,
    kept,
    mismatched,
)
from foodscene.training.loop.teacher import Teacher, demand
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.runs.run import Row, Run
from foodscene.training.scratch import recipes
from foodscene.training.scratch.activations import Softmax
from foodscene.training.scratch.graph import graph
from foodscene.training.scratch.layer import Array, Layer
from foodscene.training.scratch.losses import Loss
from foodscene.training.scratch.network import Network
from foodscene.training.scratch.optimizers import Optimizer
from foodscene.training.scratch.threads import one_core_a_product

_SECONDS = 0.25  # between two looks of whoever looks on


def train(
    recipe: Recipe,
    data: Data,
    run: Run,
    watch: Watch,
    *,
    engine: AugmentationEngine = "fast",
    threads: int | None = None,
    teacher: Teacher | None = None,
    outliers: NDArray[np.uint8] | None = None,
) -> Result:
    """Train a recipe on the photos of `data`, keeping every epoch in `run`; goes on where the run was interrupted.

    An interrupted and resumed run ends with the same weights as an unbroken one. From a `teacher` the network learns
    the answers to the training photos, in place of their labels. `outliers` are photos that have none of the labels, of
    which it learns to be unsure, of the shape of `data.pixels`.
    Raises `recipes.UnsupportedError` and `ShapeError` before anything is trained, `TeacherError` where the recipe
    learns from a teacher and there is none, `TrainingError` when the loss is no number any more or the memory is used
    up.
    """
    recipes.check(recipe)
    demand(recipe, given=teacher is not None)
    try:
        # What grows beyond all numbers is told by the loss.
        with one_core_a_product(), np.errstate(over="ignore", invalid="ignore"):
            return _train(recipe, data, run, watch, PhotoFeed(recipe, data, engine, threads, teacher, outliers))
    except MemoryError as error:
        size = recipe.training.batch_size
        raise TrainingError(
            f"The memory is used up at batches of {size}. Try --set training.batch_size={max(1, size // 2)}"
        ) from error


def _train(recipe: Recipe, data: Data, run: Run, watch: Watch, feed: PhotoFeed) -> Result:
    network, optimizer = recipes.network(recipe, len(data.classes)), recipes.optimizer(recipe)
    loss = recipes.loss(recipe)
    run.update(parameters=network.parameters.size)
    run.check_room(sum(weight.size for weight in network.weights), network.parameters.size)
    (phase,) = phases(recipe)
    history = _resume(network, optimizer, run)

    while not over(history, phase, recipe.early_stopping):
        epoch, began = len(history) + 1, time.perf_counter()
        batches = feed.training(epoch - 1)
        watch.begin(epoch, recipe.epochs, batches.photos)
        network.draw_from(recipe.seed, epoch)
        row: Row = {"epoch": epoch, "phase": phase.name}
        learned = _train_epoch(network, optimizer, loss, recipe, batches, epoch, watch)
        seconds = time.perf_counter() - began
        with _averaged(network, optimizer):
            measured = _evaluate(network, loss, feed.validation())
            row |= learned | {f"val_{name}": value for name, value in measured.items()}
            if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
                raise diverged(epoch, phase)
            row |= {
                "learning_rate": recipes.rate(recipe, epoch * len(batches), len(batches)),
                "photos_per_second": round(batches.photos / seconds, 1),
                "seconds": round(time.perf_counter() - began, 3),
            }
            if improves(row, history, recipe):
                run.save_best(network.weights)
        history.append(row)
        run.save_checkpoint([*network.weights, *optimizer.memory, np.array(optimizer.steps)], history)
        watch.end(row, recipe.epochs)

    network.set_weights(run.load_best())
    predicted, targets = _probabilities(network, feed.validation()), data.labels[data.validation]
    temperature = calibration.fit(predicted, targets)
    return Result(
        Trained(graph(network, temperature), lambda pixels: _answer(network, pixels, temperature)),
        history,
        kept(history, recipe),
        temperature,
        confidence.choose_threshold(calibration.temper(predicted, temperature), targets),
        len(targets),
        _probabilities(network, feed.plain(data.test), temperature),
    )


def _train_epoch(
    network: Network,
    optimizer: Optimizer,
    loss: Loss,
    recipe: Recipe,
    batches: Batches,
    epoch: int,
    watch: Watch,
) -> dict[str, float]:
    """A step for each batch, up to one whose loss is no number: the mean loss and hits."""
    means, looked = _Means(), time.monotonic()
    with contextlib.closing(iter(batches)) as made:  # so that no thread outlives an error
        for step, (x, t) in enumerate(made, start=(epoch - 1) * len(batches)):
            rate = recipes.rate(recipe, step, len(batches))
            value, y = network.step(x, t, loss, optimizer, rate)
            means.add(value, y, t)
            if not math.isfinite(value):
                break
            if time.monotonic() - looked >= _SECONDS:
                looked = time.monotonic()
                watch.advance(means.photos)
    return means.values()


def _evaluate(network: Network, loss: Loss, batches: Batches) -> dict[str, float]:
    """The mean loss and hits of the photos of `batches`."""
    means = _Means()
    for x, t in batches:
        y = network.forward(x)
        means.add(network.measure(loss, y, t), y, t)
    return means.values()


class _Means:
    """Loss and hits over batches of photos."""

    def __init__(self) -> None:
        self.photos = 0
        self._sums: dict[str, float] = {}

    def add(self, loss: float, y: Array, t: Array) -> None:
        truth = t.argmax(axis=1)
        better = (y > y[np.arange(len(y)), truth][:, None]).sum(axis=1)
        found = {"loss": loss * len(y), "top1": float((y.argmax(axis=1) == truth).sum())}
        if y.shape[1] > TOP:
            found["top5"] = float((better < TOP).sum())
        self.photos += len(y)
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in found.items()}

    def values(self) -> dict[str, float]:
        return {name: value / self.photos for name, value in self._sums.items()}


@contextlib.contextmanager
def _averaged(network: Network, optimizer: Optimizer) -> Iterator[None]:
    """Within, the network has the averaged parameters, where the optimizer keeps an average."""
    current = network.parameters.copy()
    if optimizer.average:
        network.parameters[:] = optimizer.memory[-1]
    yield
    network.parameters[:] = current


def _resume(network: Network, optimizer: Optimizer, run: Run) -> list[Row]:
    """Take over the state of the run's last epoch, if there is one; returns the epochs that are done."""
    state, history = run.load_checkpoint()
    if not history:
        return []
    optimizer.build(network.parameters)
    own = [*network.weights, *optimizer.memory]
    if [one.shape for one in state] != [*(one.shape for one in own), ()]:
        raise mismatched()
    for array, kept_one in zip(own, state, strict=False):
        array[...] = kept_one
    optimizer.steps = int(state[-1])
    return history


def _probabilities(network: Network, batches: Batches, temperature: float = 1.0) -> NDArray[np.float32]:
    """What a network makes of photos: shape (n, classes)."""
    answers = [_answer(network, x, temperature) for x, _ in batches]
    return np.concatenate([np.empty((0, *network.outputs), np.float32), *answers])


def _answer(network: Network, photos: NDArray[Any], temperature: float) -> NDArray[np.float32]:
    """Probabilities, of a network too that does not end in a softmax; its logits are divided by `temperature`."""
    softmax = isinstance(network.layers[-1], Softmax)
    logits = _run(network.layers[:-1] if softmax else network.layers, photos)
    return np.asarray(Softmax().forward(logits / logits.dtype.type(temperature)), np.float32)


def _run(layers: Sequence[Layer], x: NDArray[Any]) -> Array:
    """What some layers, one after the other, make of a batch."""
    for layer in layers:
        x = layer.forward(x)
    return x
