from typing import Any

import keras
import numpy as np
import pytest

from foodscene.training.scratch import optimizers
from foodscene.training.scratch.optimizers import AdaGrad, Adam, Momentum, Optimizer, RMSprop

PAIRS = [
    (Optimizer, "SGD", {}, {}),
    (Momentum, "SGD", {"momentum": 0.8}, {"momentum": 0.8}),
    (Momentum, "SGD", {"momentum": 0.8, "nesterov": True}, {"momentum": 0.8, "nesterov": True}),
    (AdaGrad, "Adagrad", {}, {}),
    (RMSprop, "RMSprop", {}, {}),
    (Adam, "Adam", {}, {}),
    (Adam, "Adam", {"decay": 0.1, "clip_norm": 0.5}, {"weight_decay": 0.1, "global_clipnorm": 0.5}),
    (Adam, "Adam", {"average": 0.9}, {"use_ema": True, "ema_momentum": 0.9}),
]


@pytest.mark.parametrize(("kind", "name", "ours", "keras_settings"), PAIRS)
def test_steps_are_those_of_keras(
    kind: type[Optimizer],
    name: str,
    ours: dict[str, Any],
    keras_settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(optimizers, "_PART", 5)
    rng = np.random.default_rng(0)
    w = rng.normal(0, 1, 12)
    variable = keras.Variable(w, dtype="float64")
    theirs = getattr(keras.optimizers, name)(0.05, **keras_settings)
    theirs.build([variable])
    optimizer = kind(**ours)
    for _ in range(7):
        g = rng.normal(0, 1, 12)
        theirs.apply([keras.ops.convert_to_tensor(g, "float64")])
        optimizer.step(w, g, float(theirs.learning_rate))
        # Keras rounds its 0.9 and 0.999 to float32, whatever the weights: over many steps that would add up.
        np.testing.assert_allclose(w, variable.numpy(), rtol=0, atol=1e-6)
        w[:] = variable.numpy()
    if "average" in ours:
        theirs.finalize_variable_values([variable])
        np.testing.assert_allclose(optimizer.memory[-1], variable.numpy(), rtol=0, atol=1e-6)


def test_decay_spares_what_it_is_told_to() -> None:
    w = np.ones(2)
    Optimizer(decay=0.5).step(w, np.zeros(2), 0.1, np.array([1.0, 0.0]))
    assert w.tolist() == [0.95, 1]


@pytest.mark.parametrize("kind", [Optimizer, Momentum, AdaGrad, RMSprop, Adam])
def test_float32_stays_float32_and_falls(kind: type[Optimizer]) -> None:
    w, optimizer = np.ones(3, np.float32), kind()
    for _ in range(20):
        optimizer.step(w, 2 * w, 0.01)
    assert (np.abs(w) < 1).all()
    assert all(one.dtype == np.float32 for one in optimizer.memory)
