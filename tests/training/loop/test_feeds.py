"""What `training.loop.feeds` hands over; that a head learns from it as from the photos is in `test_loop`."""

import keras
import numpy as np
import pytest

from foodscene.training.loop import feeds
from foodscene.training.loop.feeds import FeatureBatches, FeatureFeed, Part
from foodscene.training.networks import build
from tests.training.loop.test_loop import colours, tiny, transfer


def part(count: int) -> Part:
    """Features of which each photo has its own, and a class in turn."""
    return Part(
        np.arange(2 * count, dtype=np.float32).reshape(count, 2), np.eye(3, dtype=np.float32)[np.arange(count) % 3]
    )


def collected(batches: FeatureBatches) -> Part:
    read, targets = zip(*(batches[at] for at in range(len(batches))), strict=True)
    return Part(np.concatenate(read), np.concatenate(targets))


@pytest.mark.parametrize(
    ("settings", "is_cacheable"),
    [
        ([], True),
        (["augmentation.horizontal_flip=true"], False),
        (["training.mixup=0.2"], False),
        (["training.outliers=0.2"], False),
    ],
)
def test_unaltered_photos_of_a_frozen_backbone_are_cacheable(settings: list[str], is_cacheable: bool) -> None:
    assert feeds.cacheable(transfer(*settings)) is is_cacheable


def test_a_network_from_scratch_has_no_features_to_cache() -> None:
    assert not feeds.cacheable(tiny(base="food/basic"))


def test_an_epoch_has_every_photo_once_and_the_next_another_order() -> None:
    feed = FeatureFeed(part(10), part(4), batch_size=3, seed=1)
    first, again, other = (collected(feed.training(epoch)) for epoch in (0, 0, 1))
    assert first.features.tolist() == again.features.tolist() != other.features.tolist()
    order = first.features[:, 0].astype(int) // 2
    assert sorted(order) == list(range(10))
    np.testing.assert_array_equal(first.targets.argmax(axis=1), order % 3)
    np.testing.assert_array_equal(collected(feed.validation()).features, part(4).features)


def test_an_epoch_in_one_piece_is_its_batches_unless_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = FeatureFeed(part(10), part(4), batch_size=3, seed=1).training(0)
    whole = batches.whole()
    assert whole
    for one, other in zip(whole, collected(batches), strict=True):
        np.testing.assert_array_equal(one, other)
    monkeypatch.setattr("foodscene.training.loop.feeds._WHOLE", 10 * 2 * 4 - 1)
    assert batches.whole() is None


@pytest.mark.slow
def test_the_head_makes_of_the_features_what_the_model_makes_of_the_photos() -> None:
    recipe, data = transfer(), colours(48, 32)
    model = build(recipe, 3, [], weights="none")
    head, feed = feeds.prepare(model, recipe, data)
    computed = collected(feed.validation())
    expected = model.predict(data.pixels[data.validation].astype(np.float32), verbose=0)
    np.testing.assert_allclose(head.predict(computed.features, verbose=0), expected, atol=1e-4)
    np.testing.assert_array_equal(computed.targets.argmax(axis=1), data.labels[data.validation])
    shared = {id(variable) for variable in model.trainable_variables}
    assert {id(variable) for variable in head.trainable_variables} == shared
    assert isinstance(feed.training(0), keras.utils.PyDataset)
