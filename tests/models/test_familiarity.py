"""What is familiar to a model: near prototypes of what it learned from; kept in a file that nobody can abuse."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from foodscene.models import familiarity
from foodscene.models.familiarity import Familiarity, FamiliarityError

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(5, 32)).astype(np.float32)


def drawn(count, spread=0.1, centres=CENTRES):
    labels = np.arange(count) % len(centres)
    return (centres[labels] + spread * RNG.normal(size=(count, centres.shape[1]))).astype(np.float32), labels


@pytest.fixture(scope="module")
def fitted():
    return familiarity.fit(*drawn(400), drawn(300)[0])


def test_photos_like_those_learned_from_are_known_and_others_are_not(fitted):
    assert (fitted.of(drawn(1000)[0]) >= fitted.known_above).mean() == pytest.approx(0.95, abs=0.04)
    elsewhere = drawn(200, centres=RNG.normal(size=(7, 32)).astype(np.float32))[0]
    assert (fitted.of(elsewhere) < fitted.known_above).all()


def test_familiarity_is_the_share_of_validation_photos_that_are_less_familiar(fitted):
    shares = fitted.of(drawn(4000)[0])
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert np.quantile(shares, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.08)


def test_the_length_of_features_makes_no_difference(fitted):
    features = drawn(20)[0]
    np.testing.assert_allclose(fitted.of(features), fitted.of(features * 7), atol=1e-3)


def test_of_each_data_set_95_in_100_are_known():
    near, far = drawn(400, 0.05)[0], drawn(400, 0.6)[0]
    parts = np.repeat([0, 1], 400)
    found = familiarity.fit(*drawn(400), np.concatenate([near, far]), parts)
    assert (found.of(far) >= found.known_above).mean() >= 0.95
    assert (familiarity.fit(*drawn(400), near).of(far) >= 0.05).mean() < 0.5, "the nearer one alone asks for more"


def test_there_are_prototypes_of_every_class_and_not_too_many():
    features, labels = drawn(3000, 0.4)
    found = familiarity.fit(features, labels, drawn(60)[0])
    assert len(found.prototypes) <= familiarity.MOST_PROTOTYPES
    assert np.linalg.norm(found.prototypes, axis=1) == pytest.approx(1, abs=1e-3)
    nearest = (CENTRES / np.linalg.norm(CENTRES, axis=1, keepdims=True)) @ found.prototypes.T
    assert (nearest.max(axis=1) > 0.9).all()


def test_too_few_photos_give_none():
    with pytest.raises(FamiliarityError, match="39 validation photos are too few"):
        familiarity.fit(*drawn(100), drawn(39)[0])


def test_what_is_written_is_read_again(fitted):
    again = familiarity.read(fitted.as_bytes())
    features = drawn(50, 0.5)[0]
    np.testing.assert_allclose(again.of(features), fitted.of(features), atol=1e-5)
    assert again.known_above == fitted.known_above


def packed(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


GOOD = {"prototypes": np.ones((2, 3), np.float16), "quantiles": np.arange(4.0), "known_above": np.float64(0.05)}


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("prototypes.npy", bytes(100_000_000))
    return file.getvalue()


class Evil:
    def __reduce__(self):
        return print, ("unpickled",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 and no more",
        pickle.dumps(Evil()),
        packed(**GOOD | {"prototypes": np.array([Evil()], object)}),
        packed(**GOOD | {"prototypes": np.ones(3)}),
        packed(**GOOD | {"prototypes": np.full((2, 3), np.nan)}),
        packed(**GOOD | {"quantiles": np.array([3.0, 1.0])}),
        packed(**GOOD | {"known_above": np.float64(2)}),
        packed(prototypes=GOOD["prototypes"]),
        bomb(),
    ],
    ids=["empty", "cut", "pickle", "objects", "flat", "nan", "falling", "share", "absent", "bomb"],
)
def test_anything_else_is_refused(content, capsys):
    with pytest.raises(FamiliarityError):
        familiarity.read(content)
    assert "unpickled" not in capsys.readouterr().out


def test_features_of_another_model_are_told(fitted):
    assert isinstance(fitted, Familiarity)
    with pytest.raises(FamiliarityError, match="32 values, and the features 8"):
        fitted.of(np.ones((1, 8), np.float32))
