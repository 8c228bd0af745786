"""What a search looks for."""

from pathlib import Path

import pytest

from foodscene.training.recipes import recipe
from foodscene.training.sweep import space

GRID = """recipe = "food/standardized"
search = "grid"
settings = { training.epochs = 1, input.size = 16 }
final = { training.epochs = 2 }
[space]
"optimizer.learning_rate" = [0.001, 0.01]
"optimizer.name" = ["adam", "sgd"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text)
    return path


def test_a_grid_is_the_cartesian_product_in_the_recipes_own_terms(tmp_path: Path) -> None:
    found = space.read_space(written(tmp_path, GRID))
    combinations = list(found.combinations())
    assert len(combinations) == 4
    made = recipe.load(found.recipe, found.overrides(combinations[1]))
    assert (made.optimizer.name, made.optimizer.learning_rate, made.training.epochs) == ("sgd", 0.001, 1)
    assert recipe.load(found.recipe, found.overrides(combinations[1], final=True)).training.epochs == 2


def test_the_reports_search_has_64_short_trainings_and_a_long_one() -> None:
    found = space.read_space(Path("examples/search.toml"))
    combinations = list(found.combinations())
    short = [recipe.load(found.recipe, found.overrides(one)) for one in combinations]
    long = recipe.load(found.recipe, found.overrides(combinations[0], final=True))
    assert len({str(one.record()) for one in short}) == 64
    assert long.reported
    assert long.reported.row == "B3"
    assert long.training.epochs >= 5 * short[0].training.epochs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('recipe = "food/basic"\nsearch = "guess"\n[space]\n"seed" = [1]', "search"),
        ('recipe = "food/basic"\nsearch = "grid"\n[space]\n"seed" = { low = 1, high = 2 }', "a grid takes a list"),
        ('recipe = "food/basic"\n[space]\n"seed" = { low = 2, high = 1 }', "low must be below high"),
        ('recipe = "food/basic"\n[space]\n"training.epoch" = [1]', "training.epoch"),
        ('recipe = "food/basik"\n[space]\n"seed" = [1]', "food/basic"),
        ("recipe =", "not valid TOML"),
    ],
)
def test_mistakes_in_a_space_are_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        space.read_space(written(tmp_path, text))


def test_a_grid_without_end_is_refused(tmp_path: Path) -> None:
    text = GRID.replace("[0.001, 0.01]", str([number / 1e5 for number in range(1, 6000)]))
    with pytest.raises(space.SpaceError, match="11,998 combinations"):
        space.read_space(written(tmp_path, text))


def test_the_documented_space_can_be_searched(tmp_path: Path) -> None:
    text = Path("docs/sweep.md").read_text().partition("```toml\n")[2].partition("```")[0]
    found = space.read_space(written(tmp_path, text))
    assert found.trials == 12
    assert found.final == {"training": {"epochs": 40}}
