from typer.testing import CliRunner

from foodscene.cli import program
from foodscene.training.recipes import recipe as recipes


def test_it_has_a_line_for_each_recipe_in_80_columns() -> None:
    lines = CliRunner().invoke(program, ["train", "--list"], env={"COLUMNS": "80"}).output.splitlines()
    assert len(lines) == 1 + len(list(recipes.shipped()))
    [line] = [line for line in lines if line.split()[0] == "food/standardized-5x128-dropout"]
    assert line.split()[1:4] == ["A16", "0.1819", "0.3863"]
