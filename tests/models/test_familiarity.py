"""What is familiar: found, kept in a file that nothing but itself can stand for, and computed alike by the engines."""

import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from foodscene.models import familiarity
from foodscene.models.bundle import FAMILIAR, BundleError, read_bundle
from foodscene.models.engine import open_engine

SHA = "ab" * 32


def around(directions: NDArray[np.float64], each: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(directions)), each)
    return (directions[labels] + rng.normal(0, 0.1, (len(labels), directions.shape[1]))).astype(np.float32), labels


def test_what_lies_elsewhere_is_not_known() -> None:
    features, labels = around(np.eye(8)[:3] * 5, 100, 0)
    validation, _ = around(np.eye(8)[:3] * 2, 100, 1)
    found = familiarity.fit(features, labels, [validation], SHA)
    kept = found.known(found.closeness(validation))
    assert 0.95 <= kept.mean() < 0.97
    assert not found.known(found.closeness(np.eye(8, dtype=np.float32)[5:])).any()
    shares = found.familiarity(found.closeness(validation))
    assert abs(shares.mean() - 0.5) < 0.01, "a share of the validation photos themselves"
    assert found.familiarity(np.array([-1.0, 1.0], np.float32)).tolist() == [0.0, 1.0]
    assert found.photos == (300, 300)


def test_of_each_data_set_95_in_100_are_known() -> None:
    features, labels = around(np.eye(8)[:3], 100, 0)
    near, _ = around(np.eye(8)[:3], 300, 1)
    far = (near[:60] + np.random.default_rng(2).normal(0, 0.4, (60, 8))).astype(np.float32)
    found = familiarity.fit(features, labels, [near, far], SHA)
    for part in (near, far):
        assert found.known(found.closeness(part)).mean() >= 0.95


def test_each_class_has_prototypes_by_its_share() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [800, 199, 1])
    found = familiarity.prototypes(rng.normal(size=(1000, 5)).astype(np.float32), labels, most=103)
    assert len(found) == 81 + 20 + 1
    np.testing.assert_allclose(np.linalg.norm(found.astype(float), axis=1), 1, atol=1e-3)


def test_too_few_photos_are_refused() -> None:
    with pytest.raises(familiarity.FamiliarityError, match=r"19 validation photos .* at least 20"):
        familiarity.fit(np.ones((5, 2), np.float32), np.zeros(5, np.int64), [np.ones((19, 2), np.float32)], SHA)


def made() -> familiarity.Familiarity:
    features, labels = around(np.eye(3), 20, 0)
    return familiarity.fit(features, labels, [features], SHA)


def test_a_file_holds_all_of_it() -> None:
    found = made()
    again = familiarity.read(found.as_bytes(), SHA, 3)
    assert (again.threshold, again.photos, again.sha256) == (found.threshold, found.photos, SHA)
    assert (again.prototypes == found.prototypes).all()
    assert (again.quantiles == found.quantiles).all()


def altered(**arrays: object) -> bytes:
    with np.load(BytesIO(made().as_bytes())) as kept:
        whole = {**kept, **arrays}
    file = BytesIO()
    np.savez(file, **{name: value for name, value in whole.items() if value is not None})  # type: ignore[arg-type]
    return file.getvalue()


def compressed() -> bytes:
    file = BytesIO()
    np.savez_compressed(file, prototypes=np.zeros((4, 3), np.float16))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no archive", "cannot be read"),
        (compressed(), "compressed"),
        (altered(threshold=None), "cannot be read"),
        (altered(prototypes=np.full((4, 3), np.nan, np.float16)), "no numbers"),
        (altered(prototypes=np.ones((4, 3), np.float32)), "holds float32"),
        (altered(prototypes=np.ones((4, 2), np.float16)), "has 3 features"),
        (altered(prototypes=np.array([[{}]], dtype=object)), "cannot be read"),
        (altered(quantiles=np.arange(1001, dtype=np.float32)[::-1].copy()), "ascending"),
        (altered(sha256=np.zeros(32, np.uint8)), "another model"),
    ],
)
def test_a_wrong_file_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(familiarity.FamiliarityError, match=why):
        familiarity.read(content, SHA, 3)


def test_a_size_that_a_file_claims_takes_no_memory() -> None:
    content = made().as_bytes().replace(b"'shape': (1001,)", b"'shape': (9**9,)")
    with pytest.raises(familiarity.FamiliarityError):
        familiarity.read(content, SHA, 3)


@pytest.fixture
def acquainted(toy_bundle: Path, tmp_path: Path) -> Path:
    """The toy bundle, to which the three colours are familiar."""
    folder = Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours"))
    features, labels = around(np.eye(3), 20, 0)
    found = familiarity.fit(features, labels, [features], read_bundle(folder).sha256)
    (folder / FAMILIAR).write_bytes(found.as_bytes())
    return folder


def test_both_engines_say_how_close_a_photo_is(acquainted: Path) -> None:
    found = read_bundle(acquainted)
    photos = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    photos[0] = 0  # whose features have no direction
    onnx, keras = open_engine(found).look(photos), open_engine(found, "keras").look(photos)
    assert onnx.features is not None
    assert keras.closeness is not None
    assert found.familiar is not None
    np.testing.assert_allclose(onnx.features, photos.mean(axis=(1, 2)) / 255, atol=1e-5)
    np.testing.assert_allclose(onnx.closeness, found.familiar.closeness(onnx.features), atol=1e-5)
    np.testing.assert_allclose(onnx.closeness, keras.closeness, atol=1e-4)
    np.testing.assert_allclose(onnx.probabilities, keras.probabilities, atol=1e-4)
    assert onnx.part(1, 2).features is not None
    assert onnx.part(1, 2).probabilities.shape == (2, 3)


def test_what_belongs_to_another_model_refuses_the_bundle(acquainted: Path) -> None:
    (acquainted / FAMILIAR).write_bytes(made().as_bytes())
    with pytest.raises(BundleError, match=r"familiar.npz: it was made for another model. Remove it, or make it anew"):
        read_bundle(acquainted)
