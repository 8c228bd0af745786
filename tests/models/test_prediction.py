"""From a network's probabilities to an answer."""

import numpy as np

from foodscene.models.prediction import rank


def test_most_probable_first() -> None:
    probabilities = np.array([0.1, 0.5, 0.15, 0.25], np.float32)
    predictions = rank(probabilities, ["a", "b", "c", "d"], 3)
    assert [label for label, _ in predictions] == ["b", "d", "c"]
    assert predictions[0].probability == 0.5


def test_fewer_labels_than_asked_for() -> None:
    assert len(rank(np.array([0.5, 0.5], np.float32), ["a", "b"], 5)) == 2
    assert rank(np.array([0.5, 0.5], np.float32), ["a", "b"], 1)[0].label == "a"
