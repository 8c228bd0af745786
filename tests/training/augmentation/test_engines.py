"""The fast engine against the real ImageDataGenerator, given the same draws."""

import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foodscene.models.pixels import InputSpec, read_photo
from foodscene.training.augmentation import fast, reference
from foodscene.training.augmentation.draws import Draws, draw
from foodscene.training.recipes.augmentation import Augmentation

pytestmark = pytest.mark.slow

GEOMETRY: dict[str, Any] = {
    "rotation_range": 90,
    "width_shift_range": 0.2,
    "height_shift_range": 0.2,
    "shear_range": 20.0,
    "zoom_range": 0.3,
    "horizontal_flip": True,
    "vertical_flip": True,
}
COLOUR: dict[str, Any] = {"channel_shift_range": 40.0, "brightness_range": (0.5, 1.5)}
ALONE: list[dict[str, Any]] = [
    *({key: value} for key, value in (GEOMETRY | COLOUR).items()),
    {"width_shift_range": 9},
    {"height_shift_range": [3.5, 7]},
    {"zoom_range": (0.4, 0.7)},
    {"zoom_range": 2.0},
]
FILLS = [{"fill_mode": mode, "cval": 200.0} for mode in ("nearest", "constant", "reflect", "wrap")]
TOGETHER: list[dict[str, Any]] = [GEOMETRY | COLOUR | fill for fill in FILLS]


def both(
    photos: NDArray[np.uint8], augmentation: Augmentation, draws: Draws, others: Draws | None = None
) -> NDArray[np.float64]:
    """The mean difference of each photo between the engines, in grey levels; `others` are draws for the reference."""
    which = np.arange(len(draws)) % len(photos)
    ours = fast.prepare(photos, which, draws, augmentation)(slice(None))
    theirs = reference.prepare(photos, which, draws if others is None else others, augmentation)(slice(None))
    difference: NDArray[np.float64] = np.abs(ours.astype(np.float64) - theirs).mean((1, 2, 3))
    return difference


def drawn(photos: NDArray[np.uint8], augmentation: Augmentation, count: int = 12) -> Draws:
    return draw(augmentation, *photos.shape[1:3], count, np.random.default_rng(1))


@pytest.mark.parametrize("table", [*ALONE, *TOGETHER, *({"width_shift_range": 0.9, **fill} for fill in FILLS)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_both_engines_make_the_same_picture(photos: NDArray[np.uint8], table: dict[str, Any], channels: int) -> None:
    augmentation = Augmentation.model_validate(table)
    photos = np.ascontiguousarray(photos[..., :channels])
    draws = drawn(photos, augmentation)
    assert both(photos, augmentation, draws).max() < 1
    # Not because nothing happened.
    which = np.arange(len(draws)) % len(photos)
    altered = fast.prepare(photos, which, draws, augmentation)(slice(None))
    assert altered.shape == (len(draws), *photos.shape[1:])
    assert altered.dtype == np.uint8
    assert np.abs(altered - photos[which].astype(float)).mean() > 2


@pytest.mark.parametrize("table", [*ALONE, *TOGETHER], ids=str)
def test_both_engines_make_the_same_picture_of_real_photos(data: Path, table: dict[str, Any]) -> None:
    photos = real_photos(data)
    augmentation = Augmentation.model_validate(table)
    assert both(photos, augmentation, drawn(photos, augmentation)).max() < 1


def real_photos(data: Path) -> NDArray[np.uint8]:
    spec = InputSpec(96, 96)
    with zipfile.ZipFile(data / "intel-image-classification.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][:: 1 + len(archive.namelist()) // 6]
        found = [read_photo(archive.read(name), spec) for name in names]
    with tarfile.open(data / "food-101-10.tar.gz") as archive:
        for member in archive:
            if member.name.endswith(".jpg") and (file := archive.extractfile(member)):
                found.append(read_photo(file.read(), spec))
            if len(found) == 12:
                break
    return np.stack(found)


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("theta", 20.0, -20.0),
        ("tx", 6.0, -6.0),
        ("ty", 6.0, -6.0),
        ("shear", 25.0, -25.0),
        ("zx", 0.7, 1 / 0.7),
        ("zy", 0.7, 1 / 0.7),
        ("zx", 0.7, -0.7),
        ("flip_horizontal", True, False),
        ("flip_vertical", True, False),
        ("channel_shift_intensity", 30.0, -30.0),
        ("brightness", 0.7, 1 / 0.7),
    ],
)
@pytest.mark.parametrize("fill_mode", ["nearest", "constant", "reflect", "wrap"])
def test_a_wrong_sign_anywhere_would_show(
    photos: NDArray[np.uint8], fill_mode: str, name: str, value: float, wrong: float
) -> None:
    augmentation = Augmentation.model_validate({**COLOUR, "fill_mode": fill_mode, "cval": 100.0})
    draws = drawn(photos, Augmentation(rotation_range=1e-9), 4)
    draws["theta"] = 0
    draws[name] = value
    mistaken = draws.copy()
    mistaken[name] = wrong
    assert both(photos, augmentation, draws).max() < 1
    assert both(photos, augmentation, draws, mistaken).min() > 3


def test_swapped_axes_would_show(photos: NDArray[np.uint8]) -> None:
    draws = drawn(photos, Augmentation(), 4)
    draws["tx"], draws["ty"], draws["zx"], draws["theta"] = 5, -9, 0.6, 15
    swapped = draws.copy()
    swapped["tx"], swapped["ty"] = draws["ty"], draws["tx"]
    assert both(photos, Augmentation(), draws).max() < 1
    assert both(photos, Augmentation(), draws, swapped).min() > 3


def test_brightness_alone_is_exact(photos: NDArray[np.uint8]) -> None:
    augmentation = Augmentation(brightness_range=(0.2, 2.5))
    assert both(photos, augmentation, drawn(photos, augmentation)).max() == 0


def test_flips_and_whole_pixels_are_exact(photos: NDArray[np.uint8]) -> None:
    for fill in FILLS:
        augmentation = Augmentation.model_validate(
            {"horizontal_flip": True, "vertical_flip": True, "width_shift_range": 9, "height_shift_range": 9, **fill}
        )
        assert both(photos, augmentation, drawn(photos, augmentation)).max() == 0


def test_a_still_photo_stays_as_it_is(photos: NDArray[np.uint8]) -> None:
    augmentation = Augmentation.model_validate({**TOGETHER[0], "probability": 0.0})
    draws = drawn(photos, augmentation, 4)
    for engine in (fast, reference):
        assert (engine.prepare(photos, np.arange(4), draws, augmentation)(slice(None)) == photos).all()
