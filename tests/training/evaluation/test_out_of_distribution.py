"""Photos of nothing that a model knows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foodscene.models import bundle
from foodscene.models.engine import open_engine
from foodscene.models.pixels import InputSpec
from foodscene.training.data import load
from foodscene.training.evaluation import inference, out_of_distribution
from foodscene.training.evaluation.evaluation import EvaluationError
from foodscene.training.evaluation.outputs import Looking

SPEC = InputSpec(16, 16, 3, "squash")


def test_classes_that_the_model_knows_are_no_strangers(colours: Path) -> None:
    name, photos = out_of_distribution.load_photos(colours, SPEC, ["red", "blue"])
    assert name == "colours"
    assert photos.shape == (36, 16, 16, 3)
    assert len(out_of_distribution.load_photos(colours, SPEC, ["red", "blue"], most=10)[1]) == 10
    with pytest.raises(EvaluationError, match="knows all of its classes"):
        out_of_distribution.load_photos(colours, SPEC, ["red", "green", "blue", "grey"])


def test_a_folder_without_classes(folder: Callable[..., Path], photo: Callable[..., bytes]) -> None:
    tree = {f"{number}.jpg": photo(number) for number in range(4)}
    name, photos = out_of_distribution.load_photos(folder({**tree, "broken.jpg": b"no photo"}, "odd"), SPEC, ["red"])
    assert (name, len(photos)) == ("odd", 4)
    with pytest.raises(EvaluationError, match="no photo that can be read"):
        out_of_distribution.load_photos(folder({"broken.jpg": b"no photo"}, "broken"), SPEC, ["red"])


def test_counted_are_those_below_the_probability(toy_bundle: Path, colours: Path) -> None:
    found = bundle.read_bundle(toy_bundle / "colours")
    engine = open_engine(found)
    name, photos = out_of_distribution.load_photos(colours, found.spec, found.labels)
    highest = engine.predict(photos).max(axis=1)
    above = float(np.median(highest)) + 1e-6
    loaded = load.load(colours, found.spec)
    inside = inference.evaluate(Looking(found, engine), loaded, loaded.test)
    asked = replace(found, card=found.card.model_copy(update={"sure_above": above}))
    measured = out_of_distribution.measure(asked, name, Looking(asked, engine).at_pixels(photos, name), inside)
    assert 0 < (highest < above).sum() < len(photos) == measured.photos
    assert measured.unsure.value == pytest.approx((highest < above).mean())
    assert out_of_distribution.as_json([measured])["colours"]["photos"] == 18


def test_noise_is_the_same_every_time() -> None:
    noise = out_of_distribution.noise(SPEC, 5)
    assert noise.shape == (5, 16, 16, 3)
    assert (noise == out_of_distribution.noise(SPEC, 5)).all()
    assert noise.std() > 70
