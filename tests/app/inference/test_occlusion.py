from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from foodscene.app.inference.occlusion import GRID, area, covers, heat, occlude
from foodscene.models.pixels import Fit, InputSpec


def test_every_cover_lies_around_its_cell() -> None:
    masks = covers(InputSpec(40, 20))
    assert masks.shape == (GRID * GRID, 40, 20)
    inner = masks[5 * GRID + 5]
    rows, columns = np.nonzero(inner)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 27, 8, 13)
    assert masks.any(axis=0).all()


def test_a_cover_has_the_mean_color_and_leaves_the_rest() -> None:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:10] = 100
    masks = covers(InputSpec(20, 20))
    covered = occlude(pixels, masks[:2])
    assert covered.shape == (2, 20, 20, 3)
    assert (covered[0][masks[0]] == 50).all()
    assert (covered[0][~masks[0]] == pixels[~masks[0]]).all()


def test_heat_is_the_mean_fall_and_never_negative() -> None:
    covered = np.full(GRID * GRID, 0.9, np.float32)
    assert np.allclose(heat(0.8, covered), 0)
    covered[0] = 0.4
    falls = heat(0.9, covered)
    assert falls[0, 0] == pytest.approx(0.5 / 4)  # a corner lies under four covers
    assert falls[5, 5] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("fit", "expected"),
    [("squash", (0, 0, 1, 1)), ("crop", (0.25, 0, 0.75, 1)), ("pad", (0, -0.5, 1, 1.5))],
)
def test_the_area_is_what_the_network_sees(fit: Fit, expected: tuple[float, ...]) -> None:
    target = BytesIO()
    Image.new("RGB", (200, 100)).save(target, "PNG")
    assert area(target.getvalue(), InputSpec(50, 50, 3, fit)) == pytest.approx(expected)


def test_the_area_follows_the_orientation_tag() -> None:
    target = BytesIO()
    image = Image.new("RGB", (200, 100))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(target, "JPEG", exif=exif)
    assert area(target.getvalue(), InputSpec(50, 50, 3, "crop")) == pytest.approx((0, 0.25, 1, 0.75))


def test_damaged_metadata_is_no_reason_against_the_area() -> None:
    target = BytesIO()
    Image.new("RGB", (200, 100)).save(target, "PNG", exif=b"nonsense")
    assert area(target.getvalue(), InputSpec(50, 50, 3, "crop")) == pytest.approx((0.25, 0, 0.75, 1))
