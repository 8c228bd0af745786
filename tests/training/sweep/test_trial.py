"""A trial is a training that Optuna follows, in a run folder of its own."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from foodscene.training.evaluation.evaluation import load
from foodscene.training.runs import run
from foodscene.training.sweep import trial
from foodscene.training.sweep.space import Space

pytestmark = pytest.mark.slow

SPACE = Space(
    recipe="food/basic",
    settings={"training": {"epochs": 2}, "input": {"size": 16}, "model": {"filters": [4]}},
    space={"optimizer.learning_rate": [0.001, 0.01]},
)


@pytest.fixture
def photos(folder: Callable[..., Path], two_classes: dict[str, bytes]) -> Path:
    return folder(two_classes)


def ask(study: optuna.Study) -> optuna.Trial:
    study.enqueue_trial({"optimizer.learning_rate": "0.001"})
    asked = study.ask(SPACE.distributions())
    asked.set_user_attr("run", "trial-0000")
    return asked


def test_it_leaves_a_run_with_its_answers(tmp_path: Path, photos: Path) -> None:
    study = optuna.create_study(direction="maximize")
    asked = ask(study)
    top1 = trial.train(tmp_path, SPACE, asked, [photos], None, 1)
    study.tell(asked, top1)
    record = run.read_run(tmp_path / "runs" / "trial-0000").record
    assert (record["status"], record["epochs"], record["best"]["val_top1"]) == ("finished", 2, top1)
    assert set(study.trials[0].intermediate_values) == {1, 2}
    answers = load(tmp_path / "runs" / "trial-0000" / "predictions.npz")
    assert set(answers.labels) == {"a", "b"}
    assert "test" not in record, "the search does not look at the test photos"


@pytest.mark.slow
def test_it_ends_where_optuna_says_so_and_goes_on_with_what_it_had(tmp_path: Path, photos: Path) -> None:
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=1.1))
    with pytest.raises(optuna.TrialPruned):
        trial.train(tmp_path, SPACE, ask(study), [photos], None, 1)
    record = run.read_run(tmp_path / "runs" / "trial-0000").record
    assert (record["status"], record["epochs"]) == ("pruned", 1)
    again = optuna.create_study(direction="maximize")
    trial.train(tmp_path, SPACE, ask(again), [photos], None, 1)
    assert set(again.trials[0].intermediate_values) == {1, 2}, "the first epoch too, which it did not train again"
    assert len((tmp_path / "runs" / "trial-0000" / "history.csv").read_text().splitlines()) == 3
