"""Photos made coarser and coded as JPEG: what is lost, and that both engines lose the same."""

import numpy as np
import pytest

from foodscene.training.augmentation import fast, reference
from foodscene.training.augmentation.draws import draw
from foodscene.training.recipes.augmentation import Augmentation

CHECKS = np.indices((32, 32)).sum(0) % 2 * np.uint8(255)
PHOTOS = np.repeat(np.stack([CHECKS] * 8)[..., np.newaxis], 3, -1).astype(np.uint8)
"""Fields of one pixel, black and white: the finest detail that there is."""


def altered(photos=PHOTOS, engine=fast, **settings):
    augmentation = Augmentation.model_validate(settings)
    draws = draw(augmentation, *photos.shape[1:3], len(photos), np.random.default_rng(3))
    return engine.prepare(photos, np.arange(len(photos)), draws, augmentation)(slice(None)), draws


def test_detail_finer_than_the_smaller_size_is_gone():
    coarse, _ = altered(downscale_range=[0.5, 0.5])
    assert coarse.shape == PHOTOS.shape
    assert np.abs(coarse.astype(float) - 127.5).max() < 2


def test_each_photo_gets_a_share_of_its_own_between_the_two():
    _, draws = altered(downscale_range=[0.4, 0.9])
    assert len(set(draws["downscale"])) == len(PHOTOS)
    assert 0.4 <= draws["downscale"].min() < draws["downscale"].max() <= 0.9


def test_the_lower_the_quality_the_more_is_lost():
    photos = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    losses = [
        np.abs(altered(photos, jpeg_quality_range=[quality, quality])[0].astype(float) - photos).mean()
        for quality in (95, 60, 20)
    ]
    assert 0 < losses[0] < losses[1] < losses[2]


@pytest.mark.parametrize("channels", [1, 3])
def test_both_engines_lose_the_same(channels):
    settings = {"downscale_range": [0.5, 1], "jpeg_quality_range": [50, 90]}
    photos = np.random.default_rng(0).integers(0, 256, (6, 24, 40, channels), dtype=np.uint8)
    ours, theirs = (altered(photos, engine, **settings)[0] for engine in (fast, reference))
    np.testing.assert_array_equal(ours, theirs)


def test_unaltered_photos_keep_their_detail():
    kept, _ = altered(downscale_range=[0.5, 0.5], jpeg_quality_range=[50, 50], probability=0)
    np.testing.assert_array_equal(kept, PHOTOS)


@pytest.mark.parametrize(
    "setting", [{"downscale_range": [0, 1]}, {"downscale_range": [0.5, 1.5]}, {"jpeg_quality_range": [0, 50]}]
)
def test_what_no_photo_can_be_brought_to_is_refused(setting):
    with pytest.raises(ValueError, match=r"as \["):
        Augmentation.model_validate(setting)


def test_they_draw_after_all_else_so_that_older_recipes_draw_as_before():
    before, after = (
        altered(rotation_range=20.0, brightness_range=[0.5, 1.5], **more)[1]
        for more in ({}, {"downscale_range": [0.5, 1], "jpeg_quality_range": [50, 90]})
    )
    np.testing.assert_array_equal(before[["theta", "brightness"]], after[["theta", "brightness"]])
