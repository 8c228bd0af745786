"""The training loop: from a recipe and its photos to the network with the lowest validation loss. Reads top to bottom."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from training import features, networks, optimization, standardization
from training.batches import Batches
from training.data import Data
from training.networks import transfer
from training.recipe import EarlyStopping, Optimizer, Recipe, Schedule
from training.run import Row, Run

TOP = 5
"""Top-5 counts where there are more classes than that."""


class TrainingError(ValueError):
    """A training that cannot go on. Its text says what to change."""


class Watch(Protocol):
    """Who looks on: told of every epoch, and of every batch as it ends."""

    def begin(self, epoch: int, epochs: int, photos: int) -> None: ...
    def advance(self, photos: int) -> None: ...
    def end(self, row: Row, epochs: int) -> None: ...


class Phase(NamedTuple):
    """A stretch of epochs with one optimizer."""

    name: Literal["train", "finetune"]
    epochs: int
    optimizer: Optimizer
    schedule: Schedule


class Result(NamedTuple):
    """The network of the best epoch, what led to it, and what it makes of the test photos: (n, classes), float32."""

    model: keras.Model
    history: list[Row]
    best: Row
    probabilities: NDArray[np.float32]


def train(
    recipe: Recipe,
    data: Data,
    run: Run,
    watch: Watch,
    *,
    engine: Literal["fast", "keras"] = "fast",
    threads: int | None = None,
    weights: str | None = None,
) -> Result:
    """Train a recipe on the photos of `data`, keeping every epoch in `run`; goes on where the run was interrupted.

    On the CPU, an interrupted and resumed run ends with the same weights as an unbroken one.
    Raises `TrainingError` when the loss is no number any more or the memory is used up, and `transfer.WeightsError`.
    """
    classes, settings = len(data.classes), recipe.training
    keras.config.set_dtype_policy(settings.precision)
    layers = standardization.layers(recipe.augmentation, data.pixels, data.train)
    model = networks.build(recipe, classes, layers, weights=weights)
    run.update(parameters=model.count_params())

    state, history = run.load_checkpoint()
    for phase in phases(recipe):
        rows = [row for row in history if row["phase"] == phase.name]
        if over(rows, phase, recipe.early_stopping):
            continue
        if phase.name == "finetune":
            assert recipe.finetune
            transfer.unfreeze(model, recipe.finetune.unfreeze)
        network, feed = model, _Pixels(recipe, data, engine, threads)
        if features.cacheable(recipe, phase.name):
            network, feed = features.prepare(model, recipe, data)  # type: ignore[assignment]

        training, validation = feed.training(len(history)), feed.validation()
        optimizer = optimization.optimizer(
            phase.optimizer, phase.schedule, epochs=phase.epochs, steps=len(training), accumulate=settings.accumulate
        )
        _compile(network, optimizer, recipe, classes)
        optimizer.build(network.trainable_variables)
        if rows:
            _assign([*model.variables, *optimizer.variables], state)
        elif history:
            _assign(model.weights, run.load_best())

        while not over(rows, phase, recipe.early_stopping):
            epoch, began = len(history) + 1, time.perf_counter()
            watch.begin(epoch, recipe.epochs, len(data.train))
            pulse = _Pulse(watch, settings.batch_size, len(data.train))
            with _memory_watched(settings.batch_size):
                logs = network.fit(
                    feed.training(epoch - 1),
                    class_weight=_class_weights(recipe, data),
                    shuffle=False,
                    verbose=0,
                    callbacks=[pulse],
                ).history
                seconds = time.perf_counter() - began
                # `fit` leaves the averaged weights in the network, where the optimizer keeps an average.
                measured = network.evaluate(validation, verbose=0, return_dict=True)
            row: Row = {"epoch": epoch, "phase": phase.name}
            row |= {name: float(values[-1]) for name, values in logs.items()}
            row |= {f"val_{name}": float(value) for name, value in measured.items()}
            row |= {
                "learning_rate": float(optimizer.learning_rate),
                "photos_per_second": round(len(data.train) / seconds, 1),
                "seconds": round(time.perf_counter() - began, 3),
            }
            if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
                raise TrainingError(_diverged(epoch, phase))
            if all(row["val_loss"] < earlier["val_loss"] for earlier in history):
                run.save_best([np.asarray(weight) for weight in model.get_weights()])
            history.append(row)
            rows.append(row)
            _assign(network.trainable_variables, pulse.weights)
            run.save_checkpoint([_array(variable) for variable in (*model.variables, *optimizer.variables)], history)
            watch.end(row, recipe.epochs)

    if settings.precision != "float32":
        # What is saved computes in float32: half precision is slow on a CPU, and no gain in a single photo.
        keras.config.set_dtype_policy("float32")
        layers = standardization.layers(recipe.augmentation, data.pixels, data.train)
        model = networks.build(recipe, classes, layers, weights="none")
    model.set_weights(run.load_best())
    best = min(history, key=lambda row: row["val_loss"])
    test = data.test if len(data.test) else data.validation
    probabilities = model.predict(_Pixels(recipe, data, engine, threads).still(test), verbose=0)
    return Result(model, history, best, np.asarray(probabilities, dtype=np.float32))


def phases(recipe: Recipe) -> Iterator[Phase]:
    """The stretches of a run: the recipe's own, then the fine-tuning of a backbone."""
    yield Phase("train", recipe.training.epochs, recipe.optimizer, recipe.schedule)
    if recipe.finetune:
        yield Phase("finetune", recipe.finetune.epochs, recipe.finetune.optimizer, recipe.finetune.schedule)


def over(rows: Sequence[Row], phase: Phase, early_stopping: EarlyStopping | None) -> bool:
    """Whether a phase has come to its end after these epochs: all of them done, or too many without progress."""
    if len(rows) >= phase.epochs:
        return True
    if early_stopping is None:
        return False
    best, waited = math.inf, 0
    for row in rows:
        if row["val_loss"] < best * (1 - early_stopping.min_delta):
            best, waited = row["val_loss"], 0
        else:
            waited += 1
    return waited >= early_stopping.patience


class _Pixels:
    """The photos as batches: raw pixels 0-255 and one-hot labels."""

    def __init__(self, recipe: Recipe, data: Data, engine: Literal["fast", "keras"], threads: int | None) -> None:
        self._recipe, self._data, self._engine, self._threads = recipe, data, engine, threads

    def training(self, epoch: int) -> Batches:
        """Shuffled and augmented as befits epoch number `epoch`, counted from 0."""
        return self._batches(self._data.train, augmented=True, epoch=epoch)

    def validation(self) -> Batches:
        return self.still(self._data.validation)

    def still(self, indices: NDArray[np.int64]) -> Batches:
        return self._batches(indices, augmented=False)

    def _batches(self, indices: NDArray[np.int64], *, augmented: bool, epoch: int = 0) -> Batches:
        return Batches(
            self._data.pixels,
            self._data.labels,
            indices,
            classes=len(self._data.classes),
            batch_size=self._recipe.training.batch_size,
            augmentation=self._recipe.augmentation if augmented else None,
            engine=self._engine,
            seed=self._recipe.seed,
            shuffle=augmented,
            threads=self._threads,
            epoch=epoch,
        )


class _Pulse(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells who watches of every batch, stops at a loss that is no number, and keeps the weights as the steps left them."""

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

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.weights = [_array(variable) for variable in self.model.trainable_variables]


@contextlib.contextmanager
def _memory_watched(batch_size: int) -> Iterator[None]:
    """Turns the backends' ways of saying that memory is used up into advice."""
    try:
        yield
    except Exception as error:
        signs = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemory", "out of memory", "MemoryError")
        if not any(sign in f"{type(error).__name__} {error}" for sign in signs):
            raise
        raise TrainingError(
            f"The memory is used up at batches of {batch_size}. Try --set training.batch_size={max(1, batch_size // 2)} "
            "--set training.accumulate=2, which takes the same steps."
        ) from error


def _compile(network: keras.Model, optimizer: keras.optimizers.Optimizer, recipe: Recipe, classes: int) -> None:
    settings = recipe.training
    loss: keras.losses.Loss = keras.losses.MeanSquaredError()
    if settings.loss == "cross-entropy":
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)
    metrics: list[keras.metrics.Metric] = [keras.metrics.CategoricalAccuracy(name="top1")]
    if classes > TOP:
        metrics.append(keras.metrics.TopKCategoricalAccuracy(TOP, name="top5"))
    network.compile(optimizer, loss, metrics=metrics)


def _class_weights(recipe: Recipe, data: Data) -> dict[int, float] | None:
    if recipe.training.class_weights == "none":
        return None
    counts = np.bincount(data.labels[data.train], minlength=len(data.classes))
    return {label: len(data.train) / (len(counts) * max(1, int(count))) for label, count in enumerate(counts)}


def _assign(variables: Sequence[keras.Variable], values: Sequence[NDArray[Any]]) -> None:
    if len(variables) != len(values):
        raise TrainingError("The run's checkpoint does not fit its recipe: was it written by another version of Keras?")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _array(variable: keras.Variable) -> NDArray[Any]:
    return np.array(keras.ops.convert_to_numpy(variable.value))


def _diverged(epoch: int, phase: Phase) -> str:
    section = "optimizer" if phase.name == "train" else "finetune.optimizer"
    rate = phase.optimizer.learning_rate
    return (
        f"The loss is no number any more in epoch {epoch}: the steps are too large. Try a lower rate, "
        f"--set {section}.learning_rate={rate / 10:g}, or shorter steps, --set {section}.clip_norm=1."
    )
