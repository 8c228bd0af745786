"""The recipes that ship, as `train --list` shows them."""

from rich.table import Column, Table

from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import Recipe


def table() -> Table:
    """The shipped recipes, a line each: name, the row of their report, its figures, as much of the title as fits."""
    loaded = sorted((recipes.load(name) for name in recipes.shipped()), key=_by_row)
    shown = Table(
        # People type the names: these and the figures stay whole in 80 columns.
        Column("recipe", min_width=max(len(recipe.name) for recipe in loaded)),
        Column("row", min_width=3),
        Column("top-1", min_width=6),
        Column("top-5", min_width=6),
        Column("what it shows", no_wrap=True, overflow="ellipsis"),
        box=None,
        header_style="bold",
    )
    for recipe in loaded:
        row, *figures = (recipe.reported.row, recipe.reported.top1, recipe.reported.top5) if recipe.reported else [""]
        shares = [f"{figure:.4f}" if figure is not None else "" for figure in figures] or ["", ""]
        shown.add_row(recipe.name, row, *shares, recipe.title)
    return shown


def _by_row(recipe: Recipe) -> tuple[str, str, int, str]:
    """By report, then in its order; what repeats no row comes last."""
    row = recipe.reported.row if recipe.reported else ""
    return recipe.name.rpartition("/")[0], row[:1] or "~", int(row[1:] or 0), recipe.name
