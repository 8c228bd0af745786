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
        ('recipe = "food/basic"\n[space]\n"seed" = 3', r"seed: give a list of values, or \{ low"),
        ('recipe = "food/basic"\n[space]\n"seed" = []', "seed lists no value"),
        ('recipe = "food/basic"\n[space]\n"seed" = [1, 1]', "seed lists 1 twice"),
        ('recipe = "food/basic"\n[space]\n"seed" = [1, 1979-05-27]', "no setting is a date"),
        ('recipe = "food/basic"\nsettings = { bundle = 07:32:00 }\n[space]\n"seed" = [1]', "no setting is a date"),
        ('recipe = "food/basic"\n[space]\n"optimizer.learning_rate" = [0.1, inf]', "inf and nan"),
        ('recipe = "food/basic"\n[space]\n"seed" = { low = "1", high = 2 }', "write a number, not '1'"),
        ('recipe = "food/basic"\n[space]\n"optimizer.name" = ["adam", "admw"]', 'optimizer.name = "admw"'),
        ('recipe = "food/basic"\n[space]\n"training.batch_size" = { low = 8, high = 32.0 }', "32, not 32.0"),
        (
            'recipe = "food/basic"\n[space]\n"optimizer.learning_rate" = { low = -1.0, high = 1.0 }',
            "learning_rate = -1",
        ),
        (
            'recipe = "food/basic"\nfinal = { training.epoch = 3 }\n[space]\n"seed" = [1]',
            "final: training.epoch: unknown",
        ),
        ('recipe = "food/basic"\ntrials = "4"\n[space]\n"seed" = [1]', "trials: Input should be a valid integer"),
    ],
)
def test_mistakes_in_a_space_are_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        space.read_space(written(tmp_path, text))


def test_keys_need_no_quotes(tmp_path: Path) -> None:
    text = GRID.replace('"optimizer.learning_rate"', "optimizer.learning_rate").replace(
        '"optimizer.name"', "optimizer.name"
    )
    assert space.read_space(written(tmp_path, text)) == space.read_space(written(tmp_path, GRID))
    text = 'recipe = "food/basic"\n[space]\noptimizer.learning_rate = { low = 1e-4, high = 1e-1, log = true }'
    assert space.read_space(written(tmp_path, text)).space == {
        "optimizer.learning_rate": space.Range(low=1e-4, high=1e-1, log=True)
    }


def test_a_value_that_is_wrong_beside_the_first_ones_alone_is_taken(tmp_path: Path) -> None:
    text = GRID.replace('["adam", "sgd"]', '["adam", "sgd"]\n"optimizer.momentum" = [0.0, 0.9]')
    assert len(list(space.read_space(written(tmp_path, text)).combinations())) == 8


def test_a_grid_without_end_is_refused(tmp_path: Path) -> None:
    text = GRID.replace("[0.001, 0.01]", str([number / 1e5 for number in range(1, 6000)]))
    with pytest.raises(space.SpaceError, match="11,998 combinations"):
        space.read_space(written(tmp_path, text))


def test_the_documented_space_can_be_searched(tmp_path: Path) -> None:
    text = Path("docs/sweep.md").read_text().partition("```toml\n")[2].partition("```")[0]
    found = space.read_space(written(tmp_path, text))
    assert found.trials == 12
    assert found.final == {"training": {"epochs": 40}}
