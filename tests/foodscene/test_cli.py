"""What a person can mend is a sentence; a mistake of ours shows where it is."""

import sys

import pytest

from foodscene import cli
from foodscene.models.errors import FoodsceneError


def run(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit code of a command that ends in an error."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "program", fail)
    with pytest.raises(SystemExit) as ended:
        cli.cli()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("error", [FoodsceneError("Name another folder."), OSError("Name another folder.")])
def test_what_can_be_mended_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    assert run(monkeypatch, error) == 1
    assert capsys.readouterr().err == "foodscene: Name another folder.\n"


def test_a_mistake_of_ours_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, ValueError("operands could not be broadcast together")) == 70
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "operands could not be broadcast together" in said
    assert "Please report it" in said


@pytest.mark.parametrize(
    ("missing", "backend", "said"),
    [
        ("scipy.fft", "", 'scipy.fft is not installed here: this command needs pip install "foodscene[train]"'),
        ("keras", "", 'keras is not installed here: this command needs pip install "foodscene[train]"'),
        (
            "scipy",
            "",
            'scipy is not installed here: this command needs pip install "foodscene[train]", or "foodscene[scr',
        ),
        ("mlflow", "", 'mlflow is not installed here: this command needs pip install "foodscene[mlflow]"'),
        ("torch.utils", "torch", "KERAS_BACKEND is torch, and torch.utils is not installed here."),
    ],
)
def test_what_an_extra_brings_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str, backend: str, said: str
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    assert run(monkeypatch, ModuleNotFoundError(f"No module named {missing!r}", name=missing)) == 1
    assert capsys.readouterr().err.startswith(f"foodscene: {said}")


def test_a_module_of_ours_that_is_gone_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, ModuleNotFoundError("No module", name="foodscene.models.gone")) == 70


def test_ctrl_c_is_neither(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_every_error_for_people_is_one() -> None:
    import foodscene.training.train  # noqa: F401 - imports most of what raises
    from foodscene.models import bundle, files, labels, pixels
    from foodscene.models.graph import graph
    from foodscene.training import locks, storage
    from foodscene.training.recipes import recipe

    errors = [bundle.BundleError, files.OccupiedError, files.DiskFullError, pixels.PhotoError, labels.LabelsError]
    errors.append(graph.ModelRefused)
    errors += [locks.LockedError, storage.StorageError, recipe.RecipeError]
    assert all(issubclass(error, FoodsceneError) for error in errors)
    ours = [
        member
        for name, module in sys.modules.items()
        if name.startswith("foodscene.") and module
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, Exception) and member.__module__.startswith("foodscene.")
    ]
    others = {error.__name__ for error in ours if not issubclass(error, FoodsceneError)}
    assert others <= {"Problem", "ClientGone"}, "answers of the service, which is no command"


def test_where_tensorflow_has_no_version_training_says_which_python_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.sys, "version_info", (3, 14, 0))
    assert "Python 3.11 to 3.13" in str(cli._missing("tensorflow.python"))
    assert "foodscene[train]" in str(cli._missing("optuna"))
    monkeypatch.setattr(cli.sys, "version_info", (3, 13, 0))
    assert "foodscene[train]" in str(cli._missing("tensorflow"))
