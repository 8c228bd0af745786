"""The optimizer of a recipe and its learning rate over the steps of a run."""

import keras

from foodscene.training.recipes.sections import Optimizer, Schedule


def optimizer(
    settings: Optimizer, schedule: Schedule, *, epochs: int, steps: int, accumulate: int = 1
) -> keras.optimizers.Optimizer:
    """The optimizer, its rate scheduled over `epochs` of `steps` batches each; `accumulate` batches make one step."""
    rate = learning_rate(settings.learning_rate, schedule, epochs=epochs, steps=steps)
    common = {
        "weight_decay": settings.weight_decay or None,
        "global_clipnorm": settings.clip_norm,
        "use_ema": settings.average > 0,
        "ema_momentum": settings.average or 0.99,
        "gradient_accumulation_steps": accumulate if accumulate > 1 else None,
    }
    match settings.name:
        case "sgd":
            built = keras.optimizers.SGD(rate, settings.momentum, settings.nesterov, **common)
        case "rmsprop":
            built = keras.optimizers.RMSprop(rate, momentum=settings.momentum, **common)
        case "adam":
            built = keras.optimizers.Adam(rate, **common)
        case "adamw":
            built = keras.optimizers.AdamW(rate, **{**common, "weight_decay": settings.weight_decay})
    if settings.weight_decay:
        # Decay is for kernels: pulling biases and batch norm's scales to zero regularizes nothing.
        built.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return built


def learning_rate(
    height: float, schedule: Schedule, *, epochs: int, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The rate as a function of the number of batches seen, `steps` of them an epoch."""
    match schedule.kind:
        case "constant":
            return height
        case "halving":
            changes = list(range(schedule.after + schedule.every, epochs, schedule.every))
            if not changes:
                return height
            rates = [height * 0.5**power for power in range(len(changes) + 1)]
            # Keras changes after a boundary, counted from 0: the last batch before the epoch is the boundary.
            return keras.optimizers.schedules.PiecewiseConstantDecay([epoch * steps - 1 for epoch in changes], rates)
        case "cosine":
            warmup = min(round(schedule.warmup * steps), epochs * steps - 1)
            return keras.optimizers.schedules.CosineDecay(
                initial_learning_rate=0.0 if warmup else height,
                decay_steps=epochs * steps - warmup,
                alpha=schedule.floor,
                warmup_target=height if warmup else None,
                warmup_steps=warmup,
            )
