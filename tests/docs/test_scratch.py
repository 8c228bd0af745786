"""The pictures of a network from scratch show what the page says of them."""

from pathlib import Path

import numpy as np

from docs.generate import scratch
from docs.generate.pages import ROOT


def test_every_picture_is_drawn_and_on_the_page(tmp_path: Path) -> None:
    scratch.draw(tmp_path)
    page = ROOT / "docs" / "from-scratch.md"
    for name in scratch.PICTURES:
        assert "<svg" in (tmp_path / f"{name}.svg").read_text()
        assert f"(images/{name}.svg)" in page.read_text()


def test_all_optimizers_go_down_the_ravine_and_the_others_faster_than_plain_descent() -> None:
    ends = {}
    for name, (make, rate) in scratch.OPTIMIZERS.items():
        path = scratch.descent(make(), scratch.ravine_slope, np.array([-4.0, 0.4]), rate, 60)
        ends[name] = float(scratch.ravine(path[-1]))
    plain = ends.pop("gradient descent, rate 0.018")
    assert plain < float(scratch.ravine(np.array([-4.0, 0.4]))) / 4
    assert all(end < plain for end in ends.values()), (plain, ends)


def test_a_kernel_answers_at_edges_alone() -> None:
    picture = np.zeros((8, 8), np.float32)
    picture[:, 4:] = 1
    seen = scratch.edges(picture, np.array([[-1, 0, 1]] * 3))
    assert (seen[1:-1, 1:-1] != 0).any(axis=0).nonzero()[0].tolist() == [2, 3]
