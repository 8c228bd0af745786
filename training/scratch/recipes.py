"""From a recipe to a network of this library, its optimizer, rate and loss. What it lacks is refused by name."""

from collections.abc import Iterable, Iterator
from typing import Any

from foodscene.models.errors import FoodsceneError
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.recipes.sections import Convolutional, Transfer
from foodscene.training.scratch import schedules
from foodscene.training.scratch.activations import ReLU, Softmax, Tanh
from foodscene.training.scratch.convolution import Convolution, Padding, places
from foodscene.training.scratch.dense import Dense, Dropout, Flatten, Rescaling
from foodscene.training.scratch.layer import Layer
from foodscene.training.scratch.losses import CrossEntropy, Loss, MeanSquaredError
from foodscene.training.scratch.network import Network
from foodscene.training.scratch.normalization import BatchNorm
from foodscene.training.scratch.optimizers import Adam, Momentum, Optimizer, RMSprop
from foodscene.training.scratch.pooling import AveragePooling, GlobalAveragePooling, MaxPooling

# Of pixel values scaled to 0..1 over ImageNet's training photos, as torchvision documents them.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_ACTIVATIONS: dict[str, type[Layer]] = {"relu": ReLU, "tanh": Tanh, "softmax": Softmax}


class UnsupportedError(FoodsceneError, ValueError):
    """A recipe that asks for what this library does not have. Its text names the keys."""


def check(recipe: Recipe, *, others: Iterable[str] = ()) -> None:
    """Raises `UnsupportedError` where the recipe needs more than this library has, or `others` are asked for beside it.

    These are options of a training, by the names that people give them.
    """
    if lacking := [*_lacking(recipe), *others]:
        raise UnsupportedError(
            f"{recipe.name}: the backend scratch does not have {', '.join(lacking)}. "
            "Change that, or leave out --backend scratch."
        )


def _lacking(recipe: Recipe) -> Iterator[str]:
    model, settings = recipe.model, recipe.training
    if isinstance(model, Transfer):
        yield "model.kind = transfer"
    if isinstance(model, Convolutional):
        if model.activation not in _ACTIVATIONS:
            yield f"model.activation = {model.activation}"
        yield from (f"model.{key}" for key in ("residual", "l1", "l2") if getattr(model, key))
    unknown = ("featurewise_center", "samplewise_center", "zca_whitening")
    yield from (f"augmentation.{key}" for key in unknown if getattr(recipe.augmentation, key))
    if recipe.optimizer.name == "rmsprop" and recipe.optimizer.momentum:
        yield "optimizer.momentum of rmsprop"
    if settings.class_weights != "none":
        yield f"training.class_weights = {settings.class_weights}"
    if settings.precision != "float32":
        yield f"training.precision = {settings.precision}"
    if settings.accumulate > 1:
        yield "training.accumulate"
    if settings.compact:
        yield "training.compact"
    if recipe.finetune:
        yield "[finetune]"


def network(recipe: Recipe, classes: int) -> Network:
    """The network of a recipe, its parameters drawn from the recipe's seed, in float32.

    Input: pixels of shape (n, height, width, channels), values 0-255. Output: (n, classes). The recipe is one that
    `check` lets pass. Raises `ShapeError` where the photo is used up before the last layer.
    """
    layers = [*_pixels(recipe), *_features(recipe), *_outputs(recipe, classes)]
    return Network(layers, recipe.input.spec.shape, seed=recipe.seed)


def optimizer(recipe: Recipe) -> Optimizer:
    """The optimizer of a recipe; its rate is `rate`."""
    settings = recipe.optimizer
    common: dict[str, Any] = {
        "decay": settings.weight_decay,
        "clip_norm": settings.clip_norm,
        "average": settings.average,
    }
    match settings.name:
        case "sgd":
            plain = not settings.momentum
            return Optimizer(**common) if plain else Momentum(settings.momentum, nesterov=settings.nesterov, **common)
        case "rmsprop":
            return RMSprop(**common)
        case "adam" | "adamw":
            return Adam(**common)


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step of the run, counted from 0; `steps` are those of an epoch."""
    height, schedule = recipe.optimizer.learning_rate, recipe.schedule
    match schedule.kind:
        case "constant":
            return height
        case "halving":
            within = min(step, recipe.training.epochs * steps - 1)  # after the last step it is not halved again
            return schedules.halving(height, within, steps, every=schedule.every, after=schedule.after)
        case "cosine":
            epochs = recipe.training.epochs
            return schedules.cosine(height, step, steps, epochs=epochs, warmup=schedule.warmup, floor=schedule.floor)


def loss(recipe: Recipe) -> Loss:
    """The loss of a recipe."""
    if recipe.training.loss == "mean-squared-error":
        return MeanSquaredError()
    return CrossEntropy(recipe.training.label_smoothing)


def _pixels(recipe: Recipe) -> Iterator[Layer]:
    factor = recipe.augmentation.rescale or 1.0
    match recipe.input.scale:
        case "unit":
            yield Rescaling(factor / 255)
        case "imagenet":
            offset = [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)]
            yield Rescaling([factor / 255 / deviation for deviation in _DEVIATION], offset)
        case "none":
            yield Rescaling(factor)


def _features(recipe: Recipe) -> Iterator[Layer]:
    """As `training.networks.convolutional` has them; of a dense network, the pixels as a row."""
    model = recipe.model
    if not isinstance(model, Convolutional):
        yield Flatten()
        return
    sides = list(recipe.input.spec.shape[:2])
    for index, entry in enumerate(model.filters):
        stride = max(model.stem_stride, model.stride) if index == 0 else model.stride
        several = (entry,) if isinstance(entry, int) else entry
        for number, filters in enumerate(several, start=1):
            yield Convolution(
                filters,
                model.kernel,
                stride=stride,
                padding=model.padding,
                bias=not model.batch_norm,  # which brings one of its own
                initializer=model.initializer,
            )
            sides = [places(side, model.kernel, stride, model.padding)[0] for side in sides]
            if model.batch_norm:
                yield BatchNorm()
            yield _ACTIVATIONS[model.activation]()
            if number == len(several) and model.pooling != "none" and min(sides) > 1:
                kind = MaxPooling if model.pooling == "max" else AveragePooling
                # A wider window must reach over the border, or less than half of the picture would be left.
                window = model.pooling_window
                border: Padding = "valid" if window == 2 else "same"
                yield kind(window, 2, border)
                sides = [places(side, window, 2, border)[0] for side in sides]
            if model.dropout:
                yield Dropout(model.dropout)
    yield GlobalAveragePooling() if model.head == "average" else Flatten()
    if model.head_dropout:
        yield Dropout(model.head_dropout)


def _outputs(recipe: Recipe, classes: int) -> Iterator[Layer]:
    model = recipe.model
    activations = model.dense_activation
    for index, units in enumerate(model.dense):
        yield Dense(units, model.initializer)
        yield _ACTIVATIONS[activations if isinstance(activations, str) else activations[index]]()
        if model.dense_dropout:
            yield Dropout(model.dense_dropout)
    yield Dense(classes, model.initializer)
    if model.output_batch_norm:
        yield BatchNorm()
    yield _ACTIVATIONS[model.output_activation]()
