import pytest

from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.suggestion import suggest


@pytest.mark.parametrize(("photos", "chosen"), [(298, "few"), (300, "some"), (5_998, "some"), (6_000, "many")])
def test_the_recipe_follows_the_photos_of_a_class(photos: int, chosen: str) -> None:
    made = suggest(photos, classes=2)
    assert made.recipe == f"photos/{chosen}"
    assert f"{photos:,} photos of 2 classes, about {photos // 2:,} each" in made.reason
    assert recipes.load(made.recipe).name == made.recipe
