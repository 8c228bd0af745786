import pytest

from foodscene.training.loop import optimizer
from foodscene.training.recipes.sections import Schedule
from foodscene.training.scratch import schedules

EPOCHS, STEPS = 9, 10


@pytest.mark.parametrize(("every", "after"), [(3, 0), (2, 3), (1, 5)])
def test_halving_is_that_of_the_other_engine(every: int, after: int) -> None:
    settings = Schedule(kind="halving", every=every, after=after)
    theirs = optimizer.learning_rate(0.8, settings, epochs=EPOCHS, steps=STEPS)
    assert not isinstance(theirs, float)
    for step in range(EPOCHS * STEPS):
        ours = schedules.halving(0.8, step, STEPS, every=every, after=after)
        assert ours == pytest.approx(float(theirs(step)), rel=1e-6)


@pytest.mark.parametrize(("warmup", "floor"), [(0, 0), (2, 0.1), (0.5, 0)])
def test_a_cosine_is_that_of_the_other_engine(warmup: float, floor: float) -> None:
    settings = Schedule(kind="cosine", warmup=warmup, floor=floor)
    theirs = optimizer.learning_rate(0.8, settings, epochs=EPOCHS, steps=STEPS)
    assert not isinstance(theirs, float)
    for step in range(EPOCHS * STEPS):
        ours = schedules.cosine(0.8, step, STEPS, epochs=EPOCHS, warmup=warmup, floor=floor)
        assert ours == pytest.approx(float(theirs(step)), rel=1e-5, abs=1e-7)


def test_a_rate_rises_to_five_times_its_first_value_and_is_halved_every_five_epochs() -> None:
    """As a loop that changes the current rate from epoch to epoch comes to it."""
    rate = 0.001
    for epoch in range(40):
        if 1 <= epoch < 5:
            rate *= 1 + 1 / epoch
        if epoch >= 10 and epoch % 5 == 0:
            rate *= 0.5
        for step in (epoch * STEPS, epoch * STEPS + STEPS - 1):
            assert schedules.rise_and_halve(0.001, step, STEPS, every=5) == pytest.approx(rate)


def test_after_its_turn_it_is_halved_more_often() -> None:
    rates = [schedules.rise_and_halve(1.0, epoch, 1, every=5, turn=20, then=3) for epoch in range(26)]
    assert rates[4] == rates[9] == 5
    halved = [epoch for epoch in range(5, 26) if rates[epoch] == rates[epoch - 1] / 2]
    assert halved == [10, 15, 20, 21, 24]
