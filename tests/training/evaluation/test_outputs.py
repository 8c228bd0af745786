"""What networks give for many photos is what they give for each, with a fallback and without one."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodscene.classifier import load as load_bundle
from foodscene.models.bundle import read_bundle
from foodscene.models.engine import open_engine
from foodscene.training.data import load
from foodscene.training.datasets import open_dataset
from foodscene.training.evaluation import inference, out_of_distribution
from foodscene.training.evaluation.outputs import Looking, opened

COLOURS = ("red", "orangered", "yellow", "purple", "lime", "blue")


def png(colour: str) -> bytes:
    target = BytesIO()
    Image.new("RGB", (30, 20), colour).save(target, "PNG")
    return target.getvalue()


@pytest.fixture
def photos(folder: Callable[..., Path]) -> Path:
    """Forty photos in two splits and two classes, and one that is broken."""
    tree = {}
    for number in range(48):
        split, label, colour = ("train", "test")[number >= 8], ("green", "red")[number % 2], COLOURS[number % 6]
        tree[f"{split}/{label}/{number:02}-{colour}.png"] = png(colour) + bytes([number])  # no two are copies
    return folder({**tree, "test/red/broken.png": b"no photo"})


def test_it_is_the_same_by_rows_by_samples_and_one_by_one(fallback_bundles: Path, photos: Path) -> None:
    classifier = load_bundle(fallback_bundles / "colours")
    looking = opened(classifier.bundle, classifier.engine)
    assert looking.beside is not None
    data = load.load(photos, classifier.bundle.spec)
    rows = np.arange(len(data.names))
    seen = looking.at_rows(data, rows)
    expected = {sample.name: classifier.predict(sample.read()).known for sample in data.samples}
    known = seen.known(classifier.bundle)
    assert known is not None
    assert dict(zip(data.names, known.tolist(), strict=True)) == expected
    assert 0 < known.mean() < 1
    assert seen.second is not None
    sure = [classifier.predict(sample.read()).sure for sample in data.samples]
    assert len(seen.second.outputs.probabilities) == sure.count(False), "of the others nobody was asked"

    samples = open_dataset(photos).samples
    again = looking.at_samples(samples, "photos")
    told = again.known(classifier.bundle)
    assert told is not None
    readable = [sample.name for sample in samples if "broken" not in sample.name]
    assert dict(zip(readable, told.tolist(), strict=True)) == expected
    assert again.shares(classifier.bundle).shape == (sure.count(False), 3)


def test_pictures_are_scaled_for_the_fallback(fallback_bundles: Path) -> None:
    asker = read_bundle(fallback_bundles / "colours")
    looking = opened(asker, open_engine(asker))
    pixels = np.zeros((3, 16, 16, 3), np.uint8)
    pixels[0, ..., 0] = pixels[1:, ..., 0] = 255  # red, orange-red and yellow
    pixels[1, ..., 1], pixels[2, ..., 1] = 69, 255
    known = looking.at_pixels(pixels, "colours").known(asker)
    assert known is not None
    assert known.tolist() == [True, True, False]


def test_without_a_fallback_familiarity_decides(fallback_bundles: Path, photos: Path) -> None:
    asker = read_bundle(fallback_bundles / "colours")
    alone = Looking(asker, open_engine(asker))
    data = load.load(photos, asker.spec)
    measured = inference.evaluate(alone, data, data.test)
    assert measured.known is not None
    assert measured.familiar is not None
    assert (measured.known == measured.familiar).all()
    together = inference.evaluate(opened(asker, alone.engine), data, data.test)
    assert together.familiar is not None
    assert (together.familiar == measured.familiar).all(), "sure takes it, whatever the fallback says"
    assert together.known is not None
    assert together.known.sum() > measured.known.sum(), "orange-red is known now"


def test_strangers_are_called_known_as_the_service_would(
    fallback_bundles: Path, photos: Path, folder: Callable[..., Path]
) -> None:
    asker = read_bundle(fallback_bundles / "colours")
    looking = opened(asker, open_engine(asker))
    data = load.load(photos, asker.spec)
    tree = {f"{number}.png": png(("yellow", "orangered")[number % 2]) for number in range(10)}
    name, seen = out_of_distribution.see(looking, folder(tree, "strangers"))
    found = out_of_distribution.measure(asker, name, seen, inference.evaluate(looking, data, data.test))
    assert (found.photos, found.unsure.value) == (10, 1.0)
    assert found.known is not None
    assert found.known.value == 0.5
