import keras
import numpy as np
import pytest

from foodscene.training import networks
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import Recipe

pytestmark = pytest.mark.slow

NAMES = list(recipes.shipped())
# What this network has by the report's own arithmetic: kernels of 2 x 2, biases, and a softmax over 256 dishes.
COUNTED = {
    recipe.name: recipe for name in NAMES if (recipe := recipes.load(name)).reported and recipe.reported.parameters
}


@pytest.mark.parametrize("recipe", COUNTED.values(), ids=COUNTED)
def test_the_parameters_are_as_many_as_reported(recipe: Recipe) -> None:
    assert recipe.reported
    assert networks.build(recipe, 256).count_params() == recipe.reported.parameters


def test_reported_counts_are_there() -> None:
    assert len(COUNTED) == 17  # A1-A16 and A19


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_network_takes_pixels_and_gives_a_value_for_each_class(name: str) -> None:
    recipe = recipes.load(name)
    model = networks.build(recipe, 10, weights="none")
    assert model.input_shape == (None, *recipe.input.spec.shape)
    assert model.output_shape == (None, 10)
    known = {layer.__class__ for layer in model.layers}
    assert all(layer.__module__.startswith("keras.") for layer in known)
    if recipe.model.kind == "transfer":
        assert len(model.trainable_weights) == 2 + 2 * len(recipe.model.dense)  # the head alone, to begin with


def test_the_output_is_probabilities() -> None:
    model = networks.build(recipes.load("food/basic"), 7)
    photos = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 3)).astype(np.float32)
    probabilities = model.predict(photos, verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_an_output_that_is_no_probability_becomes_one_with_the_same_ranking() -> None:
    model = networks.build(recipes.load("mnist/dense-mse"), 10)
    photos = np.random.default_rng(0).uniform(0, 255, (3, 28, 28, 1)).astype(np.float32)
    before, after = model.predict(photos, verbose=0), networks.probabilities(model).predict(photos, verbose=0)
    np.testing.assert_allclose(after.sum(axis=1), 1, rtol=1e-5)
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()


def test_the_same_seed_draws_the_same_weights() -> None:
    first, second = (networks.build(recipes.load("food/basic"), 7).get_weights() for _ in range(2))
    other = networks.build(recipes.load("food/basic", ["seed=1"]), 7).get_weights()
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert not (first[0] == other[0]).all()


def test_weights_are_drawn_as_the_recipe_says() -> None:
    uniform = networks.build(recipes.load("mnist/softmax"), 10).get_weights()[0]
    assert np.abs(uniform).max() <= 0.5
    assert np.abs(uniform).max() > 0.49
    he = networks.build(recipes.load("mnist/early-stopping"), 10).get_weights()[0]
    assert he.std() == pytest.approx((2 / 784) ** 0.5, rel=0.05)


def test_stride_and_padding_take_the_place_of_pooling() -> None:
    settings = ["model.stride=2", "model.pooling=none", "model.padding=valid", "model.kernel=3"]
    model = networks.build(recipes.load("fashion/conv-5x5", settings), 10)
    assert not any(isinstance(layer, keras.layers.MaxPooling2D) for layer in model.layers)
    assert model.get_layer("block1_conv1").output.shape[1:3] == (13, 13)


def test_pooling_takes_in_a_wider_window_and_halves_the_photo_still() -> None:
    plain, wide = (recipes.load("mnist/conv", [f"model.pooling_window={window}"]) for window in (2, 3))
    narrow, overlapping = networks.build(plain, 10), networks.build(wide, 10)
    assert overlapping.count_params() == narrow.count_params() == 11_274
    convolution, pooled = (
        keras.Model(overlapping.inputs, overlapping.get_layer(name).output) for name in ("block1_act1", "block1_pool")
    )
    photo = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 1)).astype("float32")
    values = np.asarray(convolution(photo))[0]
    np.testing.assert_allclose(np.asarray(pooled(photo))[0, 3, 5], values[6:9, 10:13].max(axis=(0, 1)), rtol=1e-6)


def test_a_photo_that_is_used_up_too_soon_is_refused() -> None:
    recipe = recipes.load("fashion/conv-5x5", ["model.stride=2", "model.pooling=none", "model.padding=valid"])
    with pytest.raises(ValueError, match="block3_conv1 finds 4 x 4 values left"):
        networks.build(recipe, 10)


def test_penalties_are_on_the_kernels() -> None:
    model = networks.build(recipes.load("food/basic", ["model.l2=0.01"]), 7)
    kernel = model.get_layer("block1_conv1").kernel
    assert float(sum(model.losses)) == pytest.approx(0.01 * float(keras.ops.sum(kernel**2)), rel=1e-5)


def test_a_residual_block_adds_what_enters_it() -> None:
    recipe = recipes.load("scenes/custom-cnn")
    model = networks.build(recipe, 6)
    assert len([layer for layer in model.layers if isinstance(layer, keras.layers.Add)]) == 3
    assert model.count_params() * 4 < 3e6  # the file of the bundle is to stay below 3 MB
