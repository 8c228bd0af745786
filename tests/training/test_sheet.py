import numpy as np
from PIL import Image

from foodscene.training import sheet


def test_pictures_stand_in_rows_with_a_gap_between_them() -> None:
    tiles = [Image.new("RGB", (2, 1), color) for color in ("red", "lime", "blue")]
    drawn = sheet.grid(tiles, 2, gap=1)
    red, green, blue, white = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
    assert np.asarray(drawn).tolist() == [
        [list(colour) for colour in row]
        for row in ((red, red, white, green, green), (white,) * 5, (blue, blue, white, white, white))
    ]
    assert sheet.grid(tiles, 2, gap=1, background=None).getpixel((2, 0)) == (0, 0, 0, 0)
