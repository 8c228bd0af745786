"""Schedules: the learning rate of a step, from the height that a recipe gives it.

`step` counts from 0, `steps` are those of an epoch; epochs count from 0 too.
"""

import math


def halving(height: float, step: int, steps: int, *, every: int, after: int = 0) -> float:
    """Halved every `every` epochs, from epoch `after` on."""
    return height * 0.5 ** max(0, (step // steps - after) // every)


def cosine(height: float, step: int, steps: int, *, epochs: int, warmup: float = 0.0, floor: float = 0.0) -> float:
    """A linear rise over `warmup` epochs, then half a cosine down to `floor` of the height (SGDR, 2017)."""
    rising = min(round(warmup * steps), epochs * steps - 1)
    if step < rising:
        return height * step / rising
    done = min(1.0, (step - rising) / (epochs * steps - rising))
    return height * (floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2)


def rise_and_halve(height: float, step: int, steps: int, *, every: int, turn: float = math.inf, then: int = 1) -> float:
    """Twice `height` in epoch 1, three times in epoch 2, and so on up to `every` times in epoch `every` - 1.

    From epoch 2 `every` on it is halved in each epoch that `every` divides; after epoch `turn`, that `then` divides.
    """
    epoch = step // steps
    halvings = sum(one % (every if one <= turn else then) == 0 for one in range(2 * every, epoch + 1))
    return height * min(epoch + 1, every) * 0.5**halvings
