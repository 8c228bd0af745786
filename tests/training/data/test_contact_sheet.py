from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodscene.training.data import contact_sheet
from foodscene.training.datasets import open_dataset


def test_a_row_per_class(folder, photo):
    tree = {f"{label}/{number}.jpg": photo(number) for label in "abc" for number in range(5)}
    dataset = open_dataset(folder(tree | {"c/broken.jpg": b""}))
    one, two = contact_sheet.classes(dataset, 1), contact_sheet.classes(dataset, 3)
    assert one.height == two.height
    assert two.width - one.width >= 2 * 96
    last = np.asarray(contact_sheet.draw([("c", dataset.samples[-1:])]).convert("L"))
    assert (last == 211).sum() >= 96 * 96  # light gray in place of the broken photo


def test_a_thumbnail_shows_the_whole_photo(folder, photo):
    sample = open_dataset(folder({"a/1.jpg": photo(1, width=200, height=100)})).samples[0]
    picture = np.asarray(contact_sheet.thumbnail(sample, 80))
    assert picture.shape == (80, 80, 3)
    assert picture[:18].max() == 0
    assert picture[22:58].mean() > 50


@pytest.mark.parametrize("ending", [".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif"])
def test_a_picture_of_ours_can_be_drawn_again(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "new" / f"sheet{ending}"
    for colour in ("red", "blue"):
        contact_sheet.check(path)
        contact_sheet.save(Image.new("RGB", (8, 8), colour), path)
    with Image.open(path) as image:
        assert image.convert("RGB").getpixel((4, 4))[2] > 200


@pytest.mark.parametrize("ending", [".psd", ".bmp", ".doc", ""])
def test_a_picture_that_could_not_say_who_made_it_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(contact_sheet.PictureError, match="a picture's name ends in"):
        contact_sheet.check(tmp_path / f"sheet{ending}")
