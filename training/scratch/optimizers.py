"""Optimizers: the step that the parameters w take, given the loss's gradient g and the learning rate.

Formulas and defaults are Keras', which differ from the papers' in where a small epsilon stands.
"""

import math
from typing import Any

import numpy as np

from foodscene.training.scratch.layer import Array

_PART = 2**14  # parameters at a time: what the formulas make on their way stays in the processor's cache


class Optimizer:
    """Gradient descent: w = w - rate g (Goodfellow et al., 8.3). Others differ in `_step`."""

    _memories = 0
    _begin = 0.0

    def __init__(self, *, decay: float = 0.0, clip_norm: float | None = None, average: float = 0.0) -> None:
        """`decay`: before a step, w becomes w - rate decay w (Loshchilov and Hutter, 2019).

        `clip_norm`: g is scaled down to this norm where it is longer (Goodfellow et al., 10.11.1). `average`: a moving
        average of w is kept, which moves by 1 - `average` of the way in each step.
        """
        self.decay, self.clip_norm, self.average = decay, clip_norm, average
        self.steps = 0
        self.memory: list[Array] = []
        """What is kept from step to step, each of the shape of w; the average of w comes last."""

    def build(self, w: Array) -> None:
        """Make the memory for parameters like `w`, shape (count,)."""
        self.memory = [np.full_like(w, self._begin) for _ in range(self._memories)]
        if self.average:
            self.memory.append(w.copy())

    def step(self, w: Array, g: Array, rate: float, decayed: Array | float = 1.0) -> None:
        """Change the parameters `w` by their gradient `g`, both of shape (count,); a long gradient is scaled in place.

        `decayed` is 1 for the parameters that decay, else 0.
        """
        if not self.memory:
            self.build(w)
        self.steps += 1
        if self.clip_norm and (norm := float(np.linalg.norm(g))) > self.clip_norm:
            g *= self.clip_norm / norm
        if self.decay:
            w -= rate * self.decay * decayed * w
        for start in range(0, len(w), _PART):
            part = slice(start, start + _PART)
            self._step(w[part], g[part], rate, [one[part] for one in self.memory])
        if self.average:
            # The first step's weights are where the average begins.
            self.memory[-1] += (1 - self.average if self.steps > 1 else 1) * (w - self.memory[-1])

    def _step(self, w: Array, g: Array, rate: float, memory: list[Array]) -> None:  # noqa: ARG002
        w -= rate * g


class Momentum(Optimizer):
    """v = momentum v - rate g, w = w + v; with Nesterov w + momentum v - rate g (Goodfellow et al., 8.3.2, 8.3.3)."""

    _memories = 1

    def __init__(self, momentum: float = 0.9, *, nesterov: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.momentum, self.nesterov = momentum, nesterov

    def _step(self, w: Array, g: Array, rate: float, memory: list[Array]) -> None:
        v = memory[0]
        v *= self.momentum
        v -= rate * g
        w += self.momentum * v - rate * g if self.nesterov else v


class AdaGrad(Optimizer):
    """r = r + g², from 0.1 on; w = w - rate g / sqrt(r + 1e-7) (Duchi et al., 2011; Goodfellow et al., 8.5.1)."""

    _memories, _begin = 1, 0.1

    def _step(self, w: Array, g: Array, rate: float, memory: list[Array]) -> None:
        r = memory[0]
        r += g * g
        w -= rate * g / np.sqrt(r + 1e-7)


class RMSprop(Optimizer):
    """r = 0.9 r + 0.1 g², w = w - rate g / sqrt(r + 1e-7) (Hinton, 2012; Goodfellow et al., 8.5.2)."""

    _memories = 1

    def _step(self, w: Array, g: Array, rate: float, memory: list[Array]) -> None:
        r = memory[0]
        r += 0.1 * (g * g - r)
        w -= rate * g / np.sqrt(r + 1e-7)


class Adam(Optimizer):
    """m = 0.9 m + 0.1 g, v = 0.999 v + 0.001 g², w = w - rate m / (1 - 0.9^t) / sqrt(v / (1 - 0.999^t)) in step t.

    1e-7 is added to the root of v (Kingma and Ba, 2015; Goodfellow et al., 8.5.3).
    """

    _memories = 2

    def _step(self, w: Array, g: Array, rate: float, memory: list[Array]) -> None:
        m, v = memory[:2]
        m += 0.1 * (g - m)
        v += 0.001 * (g * g - v)
        corrected = rate * math.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        w -= corrected * m / (np.sqrt(v) + 1e-7)
