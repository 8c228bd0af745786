import pytest

from foodscene.training.loop.phases import Phase, over, phases
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.sections import EarlyStopping, Optimizer, Schedule
from foodscene.training.runs.run import Row


def rows(*losses: float) -> list[Row]:
    return [{"val_loss": loss} for loss in losses]


@pytest.mark.parametrize(
    ("losses", "ended"),
    [
        ([], False),
        ([1.0, 0.9, 0.8], False),
        ([1.0, 0.999, 0.998], True),  # within half a percent of the best: no progress
        ([1.0, 1.1, 0.9, 1.1], False),
        ([1.0, 1.1, 1.2], True),
        ([1.0, 0.9, 0.8, 0.7, 0.6], True),  # all epochs
    ],
)
def test_a_phase_is_over_when_nothing_is_gained(losses: list[float], ended: bool) -> None:
    phase = Phase("train", 5, Optimizer(), Schedule(), None)
    assert over(rows(*losses), phase, EarlyStopping(patience=2, min_relative_delta=0.005)) is ended


def test_fine_tuning_is_a_phase_of_its_own() -> None:
    [alone] = phases(recipes.load("food/basic", ["training.epochs=3"]))
    assert (alone.name, alone.epochs, alone.unfreeze) == ("train", 3, None)
    settings = ["training.epochs=2", "finetune.epochs=4", "finetune.unfreeze=3", "finetune.optimizer.learning_rate=0.5"]
    head, backbone = phases(recipes.load("food/vgg16-48", settings))
    assert (head.name, head.epochs, head.unfreeze) == ("train", 2, None)
    assert (backbone.name, backbone.epochs, backbone.unfreeze) == ("finetune", 4, 3)
    assert backbone.optimizer.learning_rate == 0.5
