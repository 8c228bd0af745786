from pathlib import Path

import pytest

from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import RecipeError


def write(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", list(recipes.shipped()))
def test_a_shipped_recipe_is_valid_and_its_header_gives_the_command(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.name == name
    header = recipes.find(name).read_text().split("\n\n")[0:3]
    assert f"foodscene train {name} --data" in "".join(header)
    assert recipes.parse(recipe.record()) == recipe


def test_every_row_of_the_reports_has_a_recipe() -> None:
    rows = {recipe.reported.row for name in recipes.shipped() if (recipe := recipes.load(name)).reported}
    wanted = [f"A{n}" for n in range(1, 20)] + ["B1", "B2", "B3"] + [f"C{n}" for n in range(5)]
    wanted += [f"D{n}" for n in range(1, 14)] + [f"E{n}" for n in range(1, 6)]
    assert rows == set(wanted)


def test_a_recipe_takes_over_what_it_does_not_say(tmp_path: Path) -> None:
    path = write(tmp_path, 'extends = "food/augmented"\ntitle = "Mine"\n[input]\nsize = 96\n')
    recipe = recipes.load(path)
    assert recipe.name == "own"
    assert recipe.input.spec.shape == (96, 96, 3)
    assert recipe.augmentation.rotation_range == 90
    assert recipe.model == recipes.load("food/augmented").model
    assert recipe.reported is None  # the figure is the other's


def test_a_network_of_another_kind_takes_nothing_over(tmp_path: Path) -> None:
    path = write(tmp_path, 'extends = "food/augmented"\ntitle = "Mine"\n[model]\nkind = "dense"\ndense = [8]\n')
    assert recipes.load(path).model.kind == "dense"


def test_settings_override_the_file() -> None:
    recipe = recipes.load("food/basic", ["training.epochs=7", "model.padding=valid", "model.filters=[4, [8, 8]]"])
    assert recipe.training.epochs == 7
    assert recipe.model.padding == "valid"  # type: ignore[union-attr]
    assert recipe.model.filters == (4, (8, 8))  # type: ignore[union-attr]


def test_an_unknown_name_brings_the_nearest_ones() -> None:
    with pytest.raises(RecipeError, match="scenes/custom-cnn"):
        recipes.load("scenes/custom-cn")


@pytest.mark.parametrize(
    "setting",
    [
        "augmentation.rescale=0.00392156862745098",
        'input.scale="unit"',
        'input.scale="imagenet"',
        "augmentation.featurewise_center=true",
        "augmentation.samplewise_std_normalization=true",
    ],
)
def test_pixels_are_not_scaled_before_a_backbone_that_does(setting: str) -> None:
    with pytest.raises(recipes.RecipeError, match=r"MobileNetV2 scales pixels 0-255 by itself.*model\.scaling"):
        recipes.load("photos/few", [setting])
    assert recipes.load("photos/few", [setting, 'model.scaling="recipe"']).model.kind == "transfer"


@pytest.mark.parametrize(
    "settings",
    [
        ['input.scale="unit"', "augmentation.rescale=0.5"],
        ['input.scale="imagenet"', "augmentation.samplewise_center=true"],
        ["augmentation.rescale=0.5", "augmentation.featurewise_center=true"],
    ],
)
def test_pixels_are_not_scaled_twice(settings: list[str]) -> None:
    with pytest.raises(recipes.RecipeError, match="scale pixels twice"):
        recipes.load("food/augmented", settings)


@pytest.mark.parametrize("name", ["photos/few", "photos/some", "photos/many"])
def test_a_recipe_for_anyone_s_photos_asks_for_no_labels_and_claims_nothing(name: str) -> None:
    of_anyone = recipes.load(name)
    assert not of_anyone.data.rename
    assert not of_anyone.data.spell_labels
    assert not of_anyone.license
    assert not of_anyone.bundle
