"""When an answer is called sure."""

import numpy as np
import pytest
from numpy.typing import NDArray

from foodscene.training.evaluation import confidence


def predicted(confidences: list[float], classes: int = 3) -> NDArray[np.float32]:
    """Answers for the first class, with these probabilities."""
    rest = (1 - np.array(confidences)) / (classes - 1)
    return np.stack([confidences, *[rest] * (classes - 1)], axis=1).astype(np.float32)


def test_the_lowest_probability_at_which_sure_answers_are_right_often_enough() -> None:
    # The surer half is right, then every second: 80 in 100 are right from the 8,000th probability on.
    confidences = np.linspace(0.99, 0.40, 10_000)
    targets = np.array([0] * 5000 + [0, 1] * 2500)
    probabilities = predicted(confidences.tolist())
    above = confidence.choose_threshold(probabilities, targets, 0.8)
    right = targets == 0
    found = confidence.measure_sure(probabilities, right, above)
    assert found.right.low >= 0.8
    assert found.sure.value == pytest.approx(0.8, abs=0.02)
    stricter = confidence.measure_sure(probabilities, right, confidence.choose_threshold(probabilities, targets, 0.99))
    assert stricter.right.value >= 0.99
    assert stricter.sure.value < found.sure.value


def test_a_model_that_is_always_right_is_still_not_sure_of_its_weakest_answers() -> None:
    probabilities = predicted(np.linspace(0.6, 0.999, 200).tolist())
    above = confidence.choose_threshold(probabilities, np.zeros(200, np.int64), 0.95)
    assert confidence.measure_sure(probabilities, np.ones(200, bool), above).sure.value == pytest.approx(0.95)


def test_a_model_that_knows_nothing_is_never_sure() -> None:
    probabilities = predicted([0.9, 0.8, 0.7])
    assert confidence.choose_threshold(probabilities, np.ones(3, np.int64)) == 1.0
    nothing = confidence.measure_sure(probabilities, np.zeros(3, bool), 1.0)
    assert nothing.sure.value == 0
    assert confidence.as_json(nothing)["sure_top1"] is None


@pytest.mark.parametrize(("photos", "nothing"), [(30, True), (72, True), (73, False)])
def test_a_few_right_photos_do_not_show_that_95_of_100_are(photos: int, nothing: bool) -> None:
    assert confidence.fewest() == 73
    above = confidence.choose_threshold(predicted([0.9] * photos), np.zeros(photos, np.int64))
    assert (above == 1.0) == nothing


def test_the_promise_holds_on_other_photos() -> None:
    """Right as often as their probability says: the sure ones of others are right in 95 of 100, nearly always."""
    rng, held, made = np.random.default_rng(0), 0, 0
    for _ in range(200):
        confidences = 1 - 0.66 * rng.uniform(size=20_300) ** 3
        right = rng.uniform(size=len(confidences)) < confidences
        probabilities, targets = predicted(confidences.tolist()), np.where(right, 0, 1)
        above = confidence.choose_threshold(probabilities[:300], targets[:300])
        if above < 1:
            made += 1
            held += confidence.measure_sure(probabilities[300:], right[300:], above).right.value >= 0.945
    assert made > 10
    assert held >= 0.95 * made


def test_nothing_is_sure_from_a_probability_of_1_on() -> None:
    probabilities = np.eye(4, dtype=np.float32)[[0, 1, 2, 3] * 10]
    above = confidence.choose_threshold(probabilities, np.zeros(40, np.int64))
    assert above == 1
    assert confidence.measure_sure(probabilities, np.zeros(40, bool), above).sure.value == 0


def test_equal_probabilities_are_all_sure_or_none_is() -> None:
    # Of the five at 0.9 the first in order are right: they may not be taken by themselves.
    probabilities = predicted([0.9] * 5)
    assert confidence.choose_threshold(probabilities, np.array([0, 0, 0, 1, 1]), 0.9) == 1.0


def test_without_photos_there_is_nothing_to_choose_on() -> None:
    with pytest.raises(ValueError, match="no validation photos"):
        confidence.choose_threshold(np.empty((0, 3), np.float32), np.empty(0, np.int64))
