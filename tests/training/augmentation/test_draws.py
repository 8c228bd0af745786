from typing import Any

import numpy as np
import pytest

from foodscene.training.augmentation.draws import DRAW, draw, parameters
from foodscene.training.augmentation.reference import generator
from foodscene.training.recipes.augmentation import Augmentation


@pytest.mark.parametrize(
    "table",
    [
        {"rotation_range": 90, "width_shift_range": 0.2, "height_shift_range": 0.1},
        {"width_shift_range": 7, "height_shift_range": 2.5, "shear_range": 20.0},
        {"width_shift_range": 1, "height_shift_range": [0.1, 0.4], "zoom_range": 0.3},
        {"width_shift_range": [1, 5, 9], "zoom_range": [0.5, 2]},
        {"horizontal_flip": True, "vertical_flip": True, "channel_shift_range": 30.0},
        {"horizontal_flip": True, "brightness_range": [0.2, 1.8]},
    ],
)
def test_draws_the_numbers_that_the_real_class_draws(table: dict[str, Any]) -> None:
    augmentation = Augmentation.model_validate(table)
    real = generator(augmentation)
    for seed in range(8):
        ours = parameters(draw(augmentation, 40, 60, 1, np.random.RandomState(seed))[0])  # type: ignore[arg-type]
        assert ours == real.get_random_transform((40, 60, 3), seed=seed)


def test_probability_is_the_share_of_photos_that_are_altered() -> None:
    augmentation = Augmentation(rotation_range=90, brightness_range=(0.5, 0.6), probability=0.25)
    draws = draw(augmentation, 32, 32, 4000, np.random.default_rng(0))
    altered = draws["theta"] != 0
    assert 0.22 < altered.mean() < 0.28
    assert (np.isnan(draws["brightness"]) == ~altered).all()
    assert set(DRAW.names or ()) - {"downscale", "jpeg_quality"} == set(parameters(draws[0]))
