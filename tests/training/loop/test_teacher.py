from pathlib import Path

import numpy as np
import pytest

from foodscene.models import bundle
from foodscene.models.engine import open_engine
from foodscene.models.pixels import InputSpec
from foodscene.training.loop.batches import Batches
from foodscene.training.loop.teacher import Teacher, TeacherError
from foodscene.training.recipes.augmentation import Augmentation

COLOURS = ("red", "green", "blue")
SPEC = InputSpec(16, 16, 3, "squash")


def pictures(count: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


def test_the_answers_are_the_bundles(toy_bundle: Path) -> None:
    found = bundle.read_bundle(toy_bundle / "colours")
    told = Teacher(found, COLOURS, SPEC).answer(pictures())
    assert told.dtype == np.float32
    np.testing.assert_allclose(told, open_engine(found).predict(pictures()), rtol=1e-5)


def test_classes_are_told_apart_by_name_and_others_left_out(toy_bundle: Path) -> None:
    found = bundle.read_bundle(toy_bundle / "colours")
    whole = Teacher(found, COLOURS, SPEC).answer(pictures())
    part = Teacher(found, ("blue", "red"), SPEC).answer(pictures())
    np.testing.assert_allclose(part[:, 0] / part[:, 1], whole[:, 2] / whole[:, 0], rtol=1e-4)
    np.testing.assert_allclose(part.sum(axis=1), 1, rtol=1e-6)


def test_a_temperature_softens_the_answers_and_keeps_their_order(toy_bundle: Path) -> None:
    found = bundle.read_bundle(toy_bundle / "colours")
    sure = Teacher(found, COLOURS, SPEC).answer(pictures())
    soft = Teacher(found, COLOURS, SPEC, temperature=2.0).answer(pictures())
    np.testing.assert_allclose(soft, np.sqrt(sure) / np.sqrt(sure).sum(axis=1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize(
    ("classes", "spec", "said"),
    [
        (COLOURS, SPEC._replace(height=32), "takes photos as 16 x 16 x 3, squash, the recipe makes them 16 x 32 x 3"),
        (COLOURS, SPEC._replace(fit="pad"), "the recipe makes them 16 x 16 x 3, pad"),
        (("red", "pink"), SPEC, "does not know pink"),
    ],
)
def test_who_cannot_teach_is_told_why(toy_bundle: Path, classes: tuple[str, ...], spec: InputSpec, said: str) -> None:
    with pytest.raises(TeacherError, match=said):
        Teacher(bundle.read_bundle(toy_bundle / "colours"), classes, spec)


def test_it_is_asked_about_the_altered_photos_and_not_about_outliers(toy_bundle: Path) -> None:
    teacher = Teacher(bundle.read_bundle(toy_bundle / "colours"), COLOURS, SPEC)
    batches = Batches(
        pictures(),
        np.zeros(12, np.int64),
        np.arange(12),
        classes=3,
        batch_size=8,
        augmentation=Augmentation(rotation_range=90, channel_shift_range=90.0),
        shuffle=True,
        mixup=0.4,
        outliers=0.25,
        teacher=teacher,
    )
    photos, targets = batches[0]
    assert len(photos) == 10
    np.testing.assert_allclose(targets[:8], teacher.answer(photos[:8]), rtol=1e-5)
    np.testing.assert_allclose(targets[8:], 1 / 3, rtol=1e-6)


def test_an_epoch_in_one_piece_would_hold_no_answers(toy_bundle: Path) -> None:
    teacher = Teacher(bundle.read_bundle(toy_bundle / "colours"), COLOURS, SPEC)
    plain = Batches(pictures(), np.zeros(12, np.int64), np.arange(12), classes=3, batch_size=8)
    taught = Batches(pictures(), np.zeros(12, np.int64), np.arange(12), classes=3, batch_size=8, teacher=teacher)
    assert plain.whole()
    assert taught.whole() is None
