from collections.abc import Callable
from pathlib import Path

import pytest

from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes import suggestion


@pytest.mark.parametrize(("few", "many", "chosen"), [(11, 99, "few"), (10, 11, "some"), (1, 10, "many")])
def test_the_recipe_follows_the_photos_of_a_class(
    folder: Callable[..., Path],
    two_classes: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    few: int,
    many: int,
    chosen: str,
) -> None:
    monkeypatch.setattr(suggestion, "FEW", few)
    monkeypatch.setattr(suggestion, "MANY", many)
    made = suggestion.choose([folder(two_classes)])
    assert made.recipe == f"photos/{chosen}"
    assert "20 photos of 2 classes, about 10 each" in made.reason
    assert recipes.load(made.recipe).name == made.recipe
