import numpy as np
import pytest

from foodscene.training import networks
from foodscene.training.augmentation import standardization
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.scratch.layer import ShapeError
from foodscene.training.scratch.losses import MeanSquaredError
from foodscene.training.scratch.optimizers import Adam, Momentum, Optimizer, RMSprop
from foodscene.training.scratch.recipes import UnsupportedError, check, loss, network, optimizer, rate

OTHERS = [
    ("food/basic", []),
    ("fashion/conv-32-64-64", ["model.stride=2", "model.padding=valid", "model.kernel=3", "model.pooling=none"]),
    (
        "mnist/conv",
        ["model.pooling_window=3", "model.pooling=average", "model.batch_norm=true", "model.head_dropout=0.1"],
    ),
    ("mnist/conv", ["model.filters=[4,4,4,4,4,4]", "model.activation=tanh", "input.scale=none"]),
    ("mnist/conv", ["input.channels=3", "input.scale=imagenet"]),
    ("mnist/conv", ["input.scale=none", "augmentation.rescale=0.5"]),
]
MNIST = [name for name in recipes.shipped() if name.startswith("mnist/")]
DIFFERENT = list({recipe.model: name for name in MNIST for recipe in [recipes.load(name)]}.values())
"""A recipe for each network among them."""


def mnist(*settings: str) -> Recipe:
    return recipes.load("mnist/conv", settings)


@pytest.mark.parametrize("name", MNIST)
def test_the_recipes_of_the_report_that_had_such_a_library_are_taken(name: str) -> None:
    check(recipes.load(name))


@pytest.mark.parametrize(("name", "settings"), [*((name, []) for name in DIFFERENT), *OTHERS])
def test_a_recipes_network_is_that_of_keras(name: str, settings: list[str]) -> None:
    recipe = recipes.load(name, settings)
    check(recipe)
    nothing = np.empty((0, 1, 1, 1), np.uint8), np.empty(0, np.int64)
    ours = network(recipe, 10)
    theirs = networks.build(recipe, 10, standardization.layers(recipe.augmentation, *nothing))
    ours.set_weights(theirs.get_weights())
    x = np.random.default_rng(0).integers(0, 256, (2, *recipe.input.spec.shape), dtype=np.uint8)
    np.testing.assert_allclose(ours.predict(x), theirs(x.astype("float32")), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["model.activation=swish"], r"model\.activation = swish"),
        (["model.residual=true", "model.l2=0.1"], r"model\.residual, model\.l2"),
        (["input.scale=none", "augmentation.featurewise_center=true"], r"augmentation\.featurewise_center"),
        (["optimizer.name=rmsprop", "optimizer.momentum=0.5"], r"optimizer\.momentum"),
        (["training.class_weights=balanced"], r"training\.class_weights"),
        (["training.precision=mixed_bfloat16"], r"training\.precision"),
        (["training.accumulate=2", "training.compact=true"], r"training\.accumulate, training\.compact"),
    ],
)
def test_what_it_lacks_is_refused_by_name(settings: list[str], named: str) -> None:
    with pytest.raises(UnsupportedError, match=named):
        check(mnist(*settings))


def test_what_else_is_asked_for_is_named_too() -> None:
    with pytest.raises(
        UnsupportedError, match=r"model\.residual, --from\. Change that, or leave out --backend scratch"
    ):
        check(mnist("model.residual=true"), others=["--from"])


def test_a_backbone_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"model\.kind = transfer, .*\[finetune\]"):
        check(recipes.load("food/vgg16-finetuned"))


def test_a_picture_that_is_used_up_is_refused() -> None:
    with pytest.raises(ShapeError, match="a smaller kernel or stride, padding same"):
        network(mnist("model.padding=valid", "model.filters=[4,4,4]"), 10)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (["optimizer.name=sgd"], Optimizer),
        (["optimizer.name=sgd", "optimizer.momentum=0.9"], Momentum),
        (["optimizer.name=rmsprop"], RMSprop),
        (["optimizer.name=adam"], Adam),
        (["optimizer.name=adamw"], Adam),
    ],
)
def test_the_optimizer_is_the_recipes(settings: list[str], kind: type[Optimizer]) -> None:
    made = optimizer(mnist(*settings, "optimizer.weight_decay=0.1", "optimizer.clip_norm=2", "optimizer.average=0.9"))
    assert type(made) is kind
    assert (made.decay, made.clip_norm, made.average) == (0.1, 2, 0.9)


def test_the_rate_is_the_recipes() -> None:
    assert rate(mnist("schedule.kind=constant", "optimizer.learning_rate=0.3"), 7, 2) == 0.3
    halved = mnist("schedule.kind=halving", "schedule.every=2", "optimizer.learning_rate=0.4")
    assert [rate(halved, step, 1) for step in range(5)] == [0.4, 0.4, 0.2, 0.2, 0.1]
    falling = mnist("schedule.kind=cosine", "training.epochs=2", "optimizer.learning_rate=0.4")
    assert rate(falling, 2, 2) == pytest.approx(0.2)


def test_the_loss_is_the_recipes() -> None:
    assert isinstance(loss(recipes.load("mnist/dense-mse")), MeanSquaredError)
    smoothed = loss(mnist("training.label_smoothing=0.2"))
    assert not isinstance(smoothed, MeanSquaredError)
    assert smoothed.label_smoothing == 0.2
