"""The rule of a bundle and its fallback: fitted, applied, and found beside the bundle."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from foodscene.models import fallback
from foodscene.models.bundle import CARD, FAMILIAR, BundleError, read_bundle
from foodscene.models.card import Card, CardFallbackRule
from foodscene.models.engine import Outputs
from foodscene.models.fallback import Fallback, FallbackError, Second


def drawn(count: int, middle: float, seed: int) -> NDArray[np.float64]:
    """Shares of photos: of those that are known the first two are large and the last one small."""
    rng = np.random.default_rng(seed)
    return np.clip(np.array([middle, middle, 1 - middle]) + rng.normal(0, 0.15, (count, 3)), 0, 1)


def test_the_regression_is_that_of_scikit_learn() -> None:
    given = np.concatenate([drawn(300, 0.55, 0), drawn(80, 0.45, 1)])
    targets = np.arange(380) < 300
    counted = np.where(targets, 1 / 300, 1 / 80) * 380 / 2
    theirs = LogisticRegression(C=100, tol=1e-10, max_iter=10_000).fit(given, targets, sample_weight=counted)
    expected = [*theirs.intercept_, *theirs.coef_[0]]
    np.testing.assert_allclose(fallback.logistic(given, targets), expected, rtol=1e-3, atol=1e-3)


def test_photos_that_are_told_apart_without_fail_have_finite_weights() -> None:
    given = np.concatenate([np.tile([1.0, 1, 0], (30, 1)), np.tile([0.0, 0, 1], (30, 1))])
    weights = fallback.logistic(given, np.arange(60) < 30)
    assert np.isfinite(weights).all()
    assert weights[1] > 0 > weights[3]
    assert max(map(abs, weights)) < 50


def test_95_in_100_of_each_data_set_are_known_and_few_strangers() -> None:
    easy, hard = drawn(400, 0.8, 0), drawn(60, 0.65, 1)
    strangers = drawn(300, 0.2, 2)
    rule = fallback.fit([easy, hard], strangers, [0, 0])
    assert fallback.decide(rule, hard).sum() == 58, "95 of 100 of one more than there are, and no more than that takes"
    assert fallback.decide(rule, easy).mean() > 0.99
    assert fallback.decide(rule, strangers).mean() < 0.05
    assert rule.probability > 0
    assert rule.foreign < 0


def test_photos_of_which_the_bundle_is_sure_count_as_known() -> None:
    inside, strangers = drawn(100, 0.7, 0), drawn(100, 0.3, 1)
    alone = fallback.fit([inside], strangers, [0])
    beside = fallback.fit([inside], strangers, [100])
    assert fallback.decide(alone, inside).sum() == 96
    assert fallback.decide(beside, inside).sum() == 91
    assert fallback.decide(beside, strangers).mean() < fallback.decide(alone, strangers).mean() + 1e-9
    without = fallback.fit([inside[:5]], strangers, [995])
    assert np.isfinite(without.intercept), "enough of them are sure: the regression's own intercept stays"


@pytest.mark.parametrize(("photos", "strangers"), [(19, 100), (100, 19)])
def test_a_few_photos_are_too_few(photos: int, strangers: int) -> None:
    with pytest.raises(FallbackError, match="too few to fit a rule on: at least 20 of each"):
        fallback.fit([drawn(photos, 0.8, 0)], drawn(strangers, 0.2, 1), [0])


def outputs(first: float, closeness: float) -> Outputs:
    rest = (1 - first) / 2
    return Outputs(np.array([[first, rest, rest]], np.float32), None, np.array([closeness], np.float32))


def named(share: float) -> Outputs:
    """What `things` gives where its foreign labels have this share."""
    return Outputs(np.array([[1 - share, 0, 0, share / 2, share / 2]], np.float32))


def test_the_fallback_decides_only_where_the_answer_is_not_sure(fallback_bundles: Path) -> None:
    asker = read_bundle(fallback_bundles / "colours")
    other = fallback.beside(asker)
    assert other is not None
    sure, improbable, unfamiliar = outputs(0.9, 1.0), outputs(0.4, 1.0), outputs(0.9, 0.5)
    assert [bool(fallback.asks(asker, one)[0]) for one in (sure, improbable, unfamiliar)] == [False, True, True]
    assert [bool(fallback.sure(asker, one)[0]) for one in (sure, improbable, unfamiliar)] == [True, False, False]
    for one in (improbable, unfamiliar):
        for share, expected in ((0.4, True), (0.6, False)):
            decided = fallback.known(asker, one, Second(other, named(share)))
            assert decided is not None
            assert decided.tolist() == [expected]
    alone = [fallback.known(asker, one) for one in (improbable, unfamiliar)]
    assert [None if one is None else one.tolist() for one in alone] == [[True], [False]], "familiarity"


def test_a_batch_is_decided_as_its_photos_are_one_by_one(fallback_bundles: Path) -> None:
    asker = read_bundle(fallback_bundles / "colours")
    other = fallback.beside(asker)
    assert other is not None
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.4] * 3, 40).astype(np.float32)
    many = Outputs(probabilities, None, rng.choice([0.5, 1.0], 40).astype(np.float32))
    asked = fallback.asks(asker, many)
    assert 0 < asked.sum() < 40
    seconds = Outputs(rng.dirichlet([0.4] * 5, int(asked.sum())).astype(np.float32))
    together = fallback.known(asker, many, Second(other, seconds))
    assert together is not None
    places = np.cumsum(asked) - 1
    for row in range(40):
        second = Second(other, seconds.part(places[row], 1)) if asked[row] else None
        alone = fallback.known(asker, many.part(row, 1), second)
        assert alone is not None
        assert bool(alone[0]) == bool(together[row])
    assert (together & ~asked).sum() == (~asked).sum(), "of what is sure all is known"


def test_it_lies_beside_the_bundle(fallback_bundles: Path, tmp_path: Path) -> None:
    asker = read_bundle(fallback_bundles / "colours")
    found = fallback.beside(asker)
    assert isinstance(found, Fallback)
    assert found.bundle.name == "things"
    assert found.foreign(named(0.25)).tolist() == [0.25]
    assert fallback.beside(read_bundle(fallback_bundles / "things")) is None, "which names none"
    alone = read_bundle(Path(shutil.copytree(fallback_bundles / "colours", tmp_path / "colours")))
    with pytest.raises(FallbackError, match="There is no things beside colours"):
        fallback.beside(alone)
    assert fallback.open_beside(alone) is None


def changed(folder: Path, **says: object) -> Path:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **says}))
    return folder


def test_what_cannot_be_a_fallback_is_told(fallback_bundles: Path, tmp_path: Path) -> None:
    shutil.copytree(fallback_bundles, tmp_path / "models")
    colours, things = (read_bundle(tmp_path / "models" / name) for name in ("colours", "things"))
    with pytest.raises(FallbackError, match="colours cannot be its own fallback"):
        fallback.check(colours, colours)
    again = read_bundle(Path(shutil.copytree(colours.folder, tmp_path / "models" / "again")))
    with pytest.raises(FallbackError, match="again cannot be its own fallback"):
        fallback.check(colours, again)
    with pytest.raises(FallbackError, match="has one of its own, things"):
        fallback.check(things, colours)
    with pytest.raises(FallbackError, match="does not say which of its labels are nothing that colours stands for"):
        fallback.check(colours, read_bundle(changed(things.folder, foreign=[])))


def test_a_card_must_be_about_its_bundle(fallback_bundles: Path, tmp_path: Path) -> None:
    shutil.copytree(fallback_bundles, tmp_path / "models")
    with pytest.raises(BundleError, match="foreign names 'mauve', which is none of the labels"):
        read_bundle(changed(tmp_path / "models" / "things", foreign=["yellow", "mauve"]))
    (tmp_path / "models" / "colours" / FAMILIAR).unlink()
    with pytest.raises(BundleError, match="names the fallback things, whose rule takes"):
        read_bundle(tmp_path / "models" / "colours")


@pytest.mark.parametrize("name", ["../things", "/things", "a/b", "", ".things", "things\n"])
def test_a_fallback_is_named_and_no_path(fallback_bundles: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(fallback_bundles, tmp_path / "models")
    rule = {"intercept": 0, "probability": 1, "familiarity": 1, "foreign": -1}
    folder = changed(tmp_path / "models" / "colours", fallback={"bundle": name, "rule": rule})
    with pytest.raises(BundleError, match=r"fallback\.bundle"):
        read_bundle(folder)


def test_weights_are_numbers_that_can_be_added() -> None:
    rule = {"intercept": 0, "probability": 1, "familiarity": 1, "foreign": -1}
    for wrong in (1e300, float("inf"), float("nan"), None, "much"):
        with pytest.raises(ValueError, match="foreign"):
            CardFallbackRule.model_validate({**rule, "foreign": wrong})


@pytest.mark.parametrize("version", [1, 2])
def test_cards_from_before_it_are_read(version: int) -> None:
    card = Card.model_validate({"schema_version": version, "title": "Old"})
    assert (card.foreign, card.fallback) == ([], None)
