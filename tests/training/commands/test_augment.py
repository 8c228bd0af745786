from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foodscene.training.commands.data import data

RECIPE = """
title = "Test"
domain = "made-up photos"
[input]
size = 24
[model]
kind = "convolutional"
filters = [4]
[augmentation]
rotation_range = 90
fill_mode = "constant"
{more}
[training]
epochs = 1
"""


@pytest.mark.parametrize(
    ("more", "columns", "options"),
    [
        ("", 3, ["--engine", "keras"]),
        ("featurewise_std_normalization = true", 6, []),
        ("zca_whitening = true\nzca_rank = 5", 6, []),
    ],
)
def test_draws_originals_altered_copies_and_what_the_network_sees(
    folder: Callable[..., Path],
    two_classes: dict[str, bytes],
    tmp_path: Path,
    more: str,
    columns: int,
    options: list[str],
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(more=more), encoding="utf-8")
    output = tmp_path / "picture.png"
    arguments = ["augment", str(recipe), "--data", str(folder(two_classes)), "--photos", "2", "--copies", "2"]
    answer = CliRunner().invoke(data, [*arguments, "-o", str(output), *options])
    assert answer.exit_code == 0, answer.output
    with Image.open(output) as picture:
        pixels = np.asarray(picture.convert("L"), dtype=float)
    # Cells of 24 pixels, five times enlarged, with white gaps around them.
    inked = (pixels[24:] < 250).any(0)
    assert 120 * columns * 0.9 < inked.sum() <= 120 * columns
    # Not what the altered copies show stands beside them.
    first, second = pixels[30:150, 4:124], pixels[30:150, 136:256]
    assert np.abs(first - second).mean() > 5


def test_refuses_an_output_that_is_no_picture(folder: Callable[..., Path], two_classes: dict[str, bytes]) -> None:
    arguments = ["augment", "scenes/custom-cnn", "--data", str(folder(two_classes)), "-o", "grid.doc"]
    answer = CliRunner().invoke(data, arguments)
    assert answer.exit_code == 1
    assert "grid.doc: a picture's name ends in" in str(answer.exception)


def test_no_picture_of_somebody_else_s_is_replaced(
    folder: Callable[..., Path], two_classes: dict[str, bytes], tmp_path: Path
) -> None:
    arguments = ["augment", "scenes/custom-cnn", "--data", str(folder(two_classes)), "-o", str(tmp_path / "grid.png")]
    for _ in range(2):  # one of ours is replaced
        answer = CliRunner().invoke(data, arguments)
        assert answer.exit_code == 0, answer.exception
    mine = tmp_path / "mine.jpg"
    mine.write_bytes(two_classes["a/0.jpg"])
    answer = CliRunner().invoke(data, [*arguments[:-1], str(mine)])
    assert "foodscene did not make it" in str(answer.exception)
    assert mine.read_bytes() == two_classes["a/0.jpg"]
