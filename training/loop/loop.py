"""The training loop: from a recipe and its photos to the network of its best epoch.

Reads top to bottom: `train` is the whole of a run, `_train_phase` the epochs of a part of it.
"""

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from foodscene.models.bundle import Bundle
from foodscene.training import networks
from foodscene.training.augmentation import AugmentationEngine, standardization
from foodscene.training.data.load import Data
from foodscene.training.evaluation import calibration, confidence
from foodscene.training.evaluation.metrics import TOP
from foodscene.training.loop import devices, feeds
from foodscene.training.loop import optimizer as optimizers
from foodscene.training.loop.backend import fed
from foodscene.training.loop.phases import Phase, over, phases
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
from foodscene.training.networks import continued, transfer
from foodscene.training.networks.compact import compact
from foodscene.training.networks.temperature import calibrated
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.runs.run import Row, Run

_STEPS, _VALUES = 32, 400_000  # at most so many steps, and so many values of input, before Python looks on


def train(  # noqa: PLR0913 - named options, each with a default
    recipe: Recipe,
    data: Data,
    run: Run,
    watch: Watch,
    *,
    engine: AugmentationEngine = "fast",
    threads: int | None = None,
    weights: str | None = None,
    teacher: Teacher | None = None,
    start: Bundle | None = None,
    outliers: NDArray[np.uint8] | None = None,
) -> Result:
    """Train a recipe on the photos of `data`, keeping every epoch in `run`; goes on where the run was interrupted.

    On the CPU, an interrupted and resumed run ends with the same weights as an unbroken one. From a `teacher` the
    network learns the answers to the training photos, in place of their labels. From `start`, a bundle, it goes on,
    in place of the recipe's backbone. `outliers` are photos that have none of the labels, of which it learns to be
    unsure, of the shape of `data.pixels`. Several GPUs share each batch, where the backend can do that.
    Raises `TrainingError` when the loss is no number any more or the memory is used up, `TeacherError` where the recipe
    learns from a teacher and there is none, `transfer.WeightsError` and `devices.DevicesError`.
    """
    demand(recipe, given=teacher is not None)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it advises against several networks in one process
    with devices.shared(recipe.training.batch_size):
        photos = PhotoFeed(recipe, data, engine, threads, teacher, outliers)
        return _train(recipe, data, run, watch, photos, weights, start)


def _train(
    recipe: Recipe, data: Data, run: Run, watch: Watch, photos: PhotoFeed, weights: str | None, start: Bundle | None
) -> Result:
    keras.config.set_dtype_policy(recipe.training.precision)
    model = _network(recipe, data, weights, start)
    run.update(parameters=_values(model.trainable_weights))
    _check(model, recipe, run)

    for phase in phases(recipe):
        _train_phase(phase, model, recipe, data, photos, run, watch)

    _, history = run.load_checkpoint()
    if recipe.training.precision != "float32":
        # What is saved computes in float32: half precision is slow on a CPU, and no gain for a single photo.
        keras.config.set_dtype_policy("float32")
        model = _network(recipe, data, "none", start)
    model.set_weights(run.load_best())
    if recipe.training.compact:
        model = compact(model)
    model = networks.probabilities(model)
    predicted, targets = photos.predict(model, data.validation), data.labels[data.validation]
    temperature = calibration.fit(predicted, targets)
    sure_above = confidence.choose_threshold(calibration.temper(predicted, temperature), targets)
    model = calibrated(model, temperature)
    test = photos.predict(model, data.test)
    return Result(model, history, kept(history, recipe), temperature, sure_above, len(targets), test)


def _check(model: keras.Model, recipe: Recipe, run: Run) -> None:
    """Find out before the first epoch what would end the run after it: later phases, the form saved, the disk's room.

    Raises `transfer.WeightsError`, and `OSError` with ENOSPC.
    """
    for phase in phases(recipe):
        if phase.unfreeze is not None:
            transfer.unfreezable(model, phase.unfreeze)
    if recipe.training.compact:
        compact(model)
    learning = model.weights if recipe.finetune else model.trainable_weights
    run.check_room(_values(model.weights), _values(learning))


def _train_phase(
    phase: Phase, model: keras.Model, recipe: Recipe, data: Data, photos: PhotoFeed, run: Run, watch: Watch
) -> None:
    """The epochs of a phase that are not done yet, each kept in the run before the next begins."""
    settings = recipe.training
    state, history = run.load_checkpoint()
    rows = [row for row in history if row["phase"] == phase.name]
    if over(rows, phase, recipe.early_stopping):
        return
    if history:
        model.set_weights(run.load_best())

    network = model
    feed: PhotoFeed | feeds.FeatureFeed = photos
    if phase.unfreeze is not None:
        transfer.unfreeze(model, phase.unfreeze)
    elif feeds.cacheable(recipe) and not photos.teacher:
        network, feed = feeds.prepare(model, recipe, data)
    validation = fed(feed.validation(), settings.batch_size)
    steps = len(feed.training(0))
    optimizer = optimizers.optimizer(
        phase.optimizer, phase.schedule, epochs=phase.epochs, steps=steps, accumulate=settings.accumulate
    )
    network.compile(
        optimizer,
        _loss(recipe),
        metrics=_metrics(len(data.classes)),
        steps_per_execution=_steps_at_once(network, settings.batch_size),
        jit_compile=_compiled(recipe),
    )
    optimizer.build(network.trainable_variables)
    if rows:
        _assign([*network.variables, *optimizer.variables], state)

    while not over(rows, phase, recipe.early_stopping):
        epoch, began = len(history) + 1, time.perf_counter()
        batches = feed.training(epoch - 1)
        watch.begin(epoch, recipe.epochs, batches.photos)
        pulse = _Pulse(watch, settings.batch_size, batches.photos)
        with _memory_watched(settings.batch_size):
            try:
                logs = network.fit(
                    **fed(batches, settings.batch_size),
                    class_weight=_class_weights(recipe, data),
                    shuffle=False,  # the feed does that
                    verbose=0,
                    callbacks=[pulse],
                ).history
            finally:
                batches.on_epoch_end()  # Keras does not say so where an epoch is broken off
            seconds = time.perf_counter() - began
            # `fit` leaves the averaged weights in the network, where the optimizer keeps an average.
            measured = network.evaluate(**validation, verbose=0, return_dict=True)

        row: Row = {"epoch": epoch, "phase": phase.name}
        row |= {name: float(values[-1]) for name, values in logs.items()}
        row |= {f"val_{name}": float(value) for name, value in measured.items()}
        row |= {
            "learning_rate": float(optimizer.learning_rate),
            "photos_per_second": round(batches.photos / seconds, 1),
            "seconds": round(time.perf_counter() - began, 3),
        }
        if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
            raise diverged(epoch, phase)

        if improves(row, history, recipe):
            run.save_best(model.get_weights())
        history.append(row)
        rows.append(row)
        _assign(network.trainable_variables, pulse.weights)
        # Of a cached backbone's network the head alone: the backbone is in the best epoch's weights, as it was.
        run.save_checkpoint([_array(variable) for variable in (*network.variables, *optimizer.variables)], history)
        watch.end(row, recipe.epochs)


class _Pulse(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells how far an epoch is, stops at a loss that is no number, and keeps the weights as the steps left them."""

    def __init__(self, watch: Watch, batch_size: int, photos: int) -> None:
        super().__init__()
        self.weights: list[NDArray[Any]] = []
        self._watch, self._batch_size, self._photos = watch, batch_size, photos
        self._looked = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Reading the loss waits for the device: four times a second is often enough for a display.
        if (now := time.monotonic()) - self._looked < 0.25:
            return
        self._looked = now
        self._watch.advance(min((batch + 1) * self._batch_size, self._photos))
        if logs and not math.isfinite(float(logs["loss"])):
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras' names
        # Copies: what a backend shows of a variable may change with it.
        self.weights = [_array(variable).copy() for variable in self.model.trainable_variables]


@contextlib.contextmanager
def _memory_watched(batch_size: int) -> Iterator[None]:
    """Turns the backends' ways of saying that memory is used up into advice."""
    try:
        yield
    except Exception as error:
        signs = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemory", "out of memory", "MemoryError")
        if not any(sign in f"{type(error).__name__} {error}" for sign in signs):
            raise
        smaller = max(1, batch_size // 2)
        raise TrainingError(
            f"The memory is used up at batches of {batch_size}. Try --set training.batch_size={smaller} "
            "--set training.accumulate=2, which takes the same steps."
        ) from error


def _network(recipe: Recipe, data: Data, weights: str | None, start: Bundle | None) -> keras.Model:
    if start:
        return continued.build(recipe, data.classes, start)
    layers = standardization.layers(recipe.augmentation, data.pixels, data.train)
    return networks.build(recipe, len(data.classes), layers, weights=weights)


def _values(weights: Sequence[keras.Variable]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _loss(recipe: Recipe) -> keras.losses.Loss:
    if recipe.training.loss == "mean-squared-error":
        return keras.losses.MeanSquaredError()
    return keras.losses.CategoricalCrossentropy(label_smoothing=recipe.training.label_smoothing)


def _metrics(classes: int) -> list[keras.metrics.Metric]:
    metrics: list[keras.metrics.Metric] = [keras.metrics.CategoricalAccuracy(name="top1")]
    if classes > TOP:
        metrics.append(keras.metrics.TopKCategoricalAccuracy(TOP, name="top5"))
    return metrics


def _steps_at_once(network: keras.Model, batch_size: int) -> int:
    """How many steps the backend takes before Python looks on again; the weights come out the same.

    Between the steps of a network for MNIST, Keras' own work in Python takes longer than the steps.
    """
    values: int = batch_size * math.prod(network.input_shape[1:])
    return max(1, min(_STEPS, _VALUES // values))


def _compiled(recipe: Recipe) -> bool | Literal["auto"]:
    """Whether the backend makes one program of a step; Keras' own choice is no on a CPU.

    A dense network's step is a third as long then on TensorFlow's CPU. A convolution is faster as oneDNN computes it.
    """
    return (keras.backend.backend() == "tensorflow" and recipe.model.kind == "dense") or "auto"


def _class_weights(recipe: Recipe, data: Data) -> dict[int, float] | None:
    if recipe.training.class_weights == "none":
        return None
    counts = np.bincount(data.labels[data.train], minlength=len(data.classes))
    return {label: len(data.train) / (len(counts) * max(1, int(count))) for label, count in enumerate(counts)}


def _assign(variables: Sequence[keras.Variable], values: Sequence[NDArray[Any]]) -> None:
    if len(variables) != len(values):
        raise mismatched()
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _array(variable: keras.Variable) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(variable.value))
