import keras
import pytest

from foodscene.training.loop import optimizer as optimizers
from foodscene.training.recipes.sections import Optimizer, Schedule


def rates(schedule: Schedule, epochs: int = 8, steps: int = 10) -> list[float]:
    """The rate of the first batch of each epoch."""
    rate = optimizers.learning_rate(0.8, schedule, epochs=epochs, steps=steps)
    return [rate if isinstance(rate, float) else float(rate(epoch * steps)) for epoch in range(epochs)]


def test_a_constant_rate_stays() -> None:
    assert rates(Schedule()) == [0.8] * 8


def test_a_rate_is_halved_every_n_epochs() -> None:
    assert rates(Schedule(kind="halving", every=3)) == pytest.approx([0.8] * 3 + [0.4] * 3 + [0.2] * 2)


def test_halving_begins_after_an_epoch() -> None:
    assert rates(Schedule(kind="halving", every=2, after=3)) == pytest.approx([0.8] * 5 + [0.4] * 2 + [0.2])


def test_the_rate_changes_between_epochs_not_within() -> None:
    rate = optimizers.learning_rate(0.8, Schedule(kind="halving", every=3), epochs=8, steps=10)
    assert not isinstance(rate, float)
    assert [float(rate(batch)) for batch in (29, 30, 59, 60)] == pytest.approx([0.8, 0.4, 0.4, 0.2])


def test_a_cosine_rises_then_falls_to_its_floor() -> None:
    rate = optimizers.learning_rate(0.8, Schedule(kind="cosine", warmup=2, floor=0.1), epochs=8, steps=10)
    assert not isinstance(rate, float)
    values = [float(rate(batch)) for batch in range(81)]
    assert values[0] == 0
    assert values[10] == pytest.approx(0.4)
    assert max(values) == pytest.approx(0.8)
    assert values.index(max(values)) == 20
    assert values[50] == pytest.approx(0.8 * (0.1 + 0.9 / 2))
    assert values[80] == pytest.approx(0.08)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "adamw"])
def test_every_optimizer_takes_a_step_downhill(name: str) -> None:
    settings = Optimizer(name=name, learning_rate=0.01, momentum=0.5, clip_norm=1.0, weight_decay=0.001)
    built = optimizers.optimizer(settings, Schedule(), epochs=1, steps=1)
    weight = keras.Variable([1.0])
    built.build([weight])
    built.apply([keras.ops.convert_to_tensor([2.0])])
    assert float(weight[0]) < 1


def test_decay_pulls_kernels_alone() -> None:
    built = optimizers.optimizer(
        Optimizer(name="adamw", learning_rate=0.1, weight_decay=0.1), Schedule(), epochs=1, steps=1
    )
    kernel, bias = keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="bias")
    built.build([kernel, bias])
    built.apply([keras.ops.zeros(1), keras.ops.zeros(1)])
    assert float(kernel[0]) < 1
    assert float(bias[0]) == 1
