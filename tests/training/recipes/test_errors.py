from pathlib import Path

import pytest

from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import RecipeError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('extends = "food/basic"\ntitle = "x"\n[trainning]\nepochs = 3', ["trainning", "Did you mean training?"]),
        (
            'extends = "food/basic"\ntitle = "x"\n[model]\nfilter = [3]',
            ["model.filter", "Did you mean filters?", "kernel"],
        ),
        ('extends = "food/basic"\ntitle = "x"\n[model]\npooling = "mean"', ["model.pooling", "'max'", "'mean'"]),
        ('extends = "food/basic"\ntitle = "x"\n[training]\nepochs = "many"', ["training.epochs", "integer", "'many'"]),
        ('extends = "food/basic"\ntitle = "x"\n[model]\nkind = "magic"', ["model", "'convolutional'"]),
        (
            'extends = "food/basic"\ntitle = "x"\n[augmentation]\nzoom_rnage = 1',
            ["augmentation.zoom_rnage", "zoom_range"],
        ),
        ('extends = "food/basic"\n', ["title", "is missing"]),
        ('extends = "food/basc"\ntitle = "x"', ["food/basc", "food/basic"]),
        ('extends = "own.toml"\ntitle = "x"', ["extends itself"]),
        ("title = ", ["not valid TOML"]),
        (
            'extends = "mnist/two-layers"\ntitle = "x"\n[model]\ndense = [3]',
            ["model", "2 for 1 dense layers"],
        ),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(tmp_path: Path, text: str, said: list[str]) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        recipes.load(path)
    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert "own.toml" in str(caught.value) or "food/basc" in str(caught.value)


def test_a_mistake_in_an_override_is_not_blamed_on_the_file() -> None:
    with pytest.raises(RecipeError, match=r"^--set: training\.epochs: .*greater than 0"):
        recipes.load("food/basic", ["training.epochs=0"])
    with pytest.raises(RecipeError, match=r"key\.key=value"):
        recipes.load("food/basic", ["training.epochs"])
