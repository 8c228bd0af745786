import inspect
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from foodscene.models.pixels import InputSpec
from foodscene.training.augmentation.reference import ImageDataGenerator, generator
from foodscene.training.recipes.augmentation import OWN, Augmentation


def test_the_keys_are_those_of_the_real_class() -> None:
    real = set(inspect.signature(ImageDataGenerator.__init__).parameters) - {"self"}
    code = {"preprocessing_function", "data_format", "validation_split", "interpolation_order", "dtype"}
    assert set(Augmentation.model_fields) == (real - code) | set(OWN)


def test_the_defaults_are_those_of_the_real_class() -> None:
    real = inspect.signature(ImageDataGenerator.__init__).parameters
    for key, field in Augmentation.model_fields.items():
        if key in real:
            assert field.default == real[key].default, key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("width_shift_range", 0.2),
        ("width_shift_range", 5),
        ("height_shift_range", [0.1, 0.3]),
        ("height_shift_range", (1, 2, 3)),
        ("zoom_range", 0.2),
        ("zoom_range", 1),
        ("zoom_range", [0.5, 1]),
        ("brightness_range", [0.5, 1.5]),
        ("rotation_range", 90),
        ("cval", 127.5),
    ],
)
def test_takes_every_form_and_hands_it_to_the_real_class(key: str, value: Any) -> None:
    settings = Augmentation.model_validate({key: value})
    assert settings.alters == (key != "cval")
    # The real class takes it too.
    real = generator(settings)
    real.apply_transform(np.zeros((8, 8, 3), np.float32), real.get_random_transform((8, 8, 3)))
    again = Augmentation.model_validate(settings.model_dump(mode="json", warnings=False))
    assert again == settings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("zoom_range", [1, 2, 3]),
        ("zoom_range", "much"),
        ("zoom_range", [1.2, 0.8]),
        ("brightness_range", 0.5),
        ("brightness_range", [1]),
        ("brightness_range", [-1, 1]),
        ("width_shift_range", "left"),
        ("width_shift_range", []),
        ("height_shift_range", -0.2),
        ("rotation_range", -3),
        ("rotation_range", True),
        ("rotation_range", float("nan")),
        ("rotation_range", [10, 20]),
        ("shear_range", "a"),
        ("channel_shift_range", -1.0),
        ("fill_mode", "mirror"),
        ("cval", 256),
        ("horizontal_flip", 1),
        ("rescale", "1/255"),
        ("probability", 1.5),
        ("zca_epsilon", -1e-6),
        ("zca_rank", 0),
        ("rotate", 3),
    ],
)
def test_refuses_by_the_key_s_name(key: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refusal:
        Augmentation.model_validate({key: value, "zca_whitening": True} if key == "zca_rank" else {key: value})
    assert {error["loc"][0] for error in refusal.value.errors()} == {key}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"featurewise_std_normalization": True, "featurewise_center": False}, "leave featurewise_center"),
        ({"samplewise_std_normalization": True, "samplewise_center": False}, "leave samplewise_center"),
        ({"zca_whitening": True, "featurewise_center": False}, "leave featurewise_center"),
        ({"zca_whitening": True, "featurewise_std_normalization": True}, "leave one"),
        ({"samplewise_center": True, "featurewise_center": True}, "choose either"),
        ({"samplewise_center": True, "zca_whitening": True}, "choose either"),
        ({"zca_rank": 5}, "zca_whitening = true"),
    ],
)
def test_refuses_contradictions_and_says_what_to_do(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Augmentation.model_validate(table)


def test_turns_on_what_the_real_class_turns_on() -> None:
    assert Augmentation(featurewise_std_normalization=True).featurewise_center
    assert Augmentation(samplewise_std_normalization=True).samplewise_center
    assert Augmentation(zca_whitening=True).featurewise_center


def test_alters_nothing_where_nothing_is_asked_for() -> None:
    assert not Augmentation().alters
    assert not Augmentation(fill_mode="wrap", cval=3, featurewise_center=True).alters
    assert not Augmentation(rotation_range=9, probability=0).alters
    assert Augmentation(brightness_range=(1, 2)).alters


def test_whitening_of_large_photos_needs_a_rank_that_fits() -> None:
    spec = InputSpec(224, 224)
    with pytest.raises(ValueError, match=r"zca_rank.*Set zca_rank.*at most 53"):
        Augmentation(zca_whitening=True).check(spec)
    with pytest.raises(ValueError, match=r"zca_rank.*at most 53"):
        Augmentation(zca_whitening=True, zca_rank=54).check(spec)
    Augmentation(zca_whitening=True, zca_rank=53).check(spec)
    Augmentation(zca_whitening=True).check(InputSpec(28, 28, 1))
    Augmentation().check(spec)
