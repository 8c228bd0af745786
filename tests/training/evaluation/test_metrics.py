"""Every figure against scikit-learn's, or against one worked out by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from foodscene.training.evaluation import metrics


@pytest.fixture(scope="module")
def answers() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities of a middling classifier of 8 classes for 600 photos, and the targets."""
    rng = np.random.default_rng(3)
    targets = rng.integers(0, 8, 600)
    logits = rng.normal(size=(600, 8)) + 2.0 * np.eye(8)[targets]
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), targets


def test_top_k_and_loss_are_scikit_learns(answers: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    probabilities, targets = answers
    for k in (1, 5):
        expected = reference.top_k_accuracy_score(targets, probabilities, k=k)
        assert metrics.right_within(probabilities, targets, k).mean() == pytest.approx(expected)
    assert metrics.log_loss(probabilities, targets) == pytest.approx(
        reference.log_loss(targets, probabilities), rel=1e-5
    )


def test_confusion_and_class_figures_are_scikit_learns(answers: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    probabilities, targets = answers
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion(predicted, targets, 8)
    assert (matrix == reference.confusion_matrix(targets, predicted)).all()
    precision, recall, f1, photos = reference.precision_recall_fscore_support(targets, predicted)
    figures = metrics.per_class(matrix)
    assert [one.precision for one in figures] == pytest.approx(precision)
    assert [one.recall.value for one in figures] == pytest.approx(recall)
    assert [one.f1 for one in figures] == pytest.approx(f1)
    assert [one.photos for one in figures] == photos.tolist()


def test_class_without_photos_has_zeros() -> None:
    figures = metrics.per_class(np.array([[3, 0], [0, 0]]))
    assert (figures[1].photos, figures[1].precision, figures[1].f1) == (0, 0.0, 0.0)


def test_interval_is_scipys() -> None:
    from scipy.stats import binomtest

    for hits, of in ((0, 10), (7, 10), (10, 10), (940, 1047)):
        expected = binomtest(hits, of).proportion_ci(method="wilson")
        got = metrics.share(hits, of)
        assert got == pytest.approx((hits / of, expected.low, expected.high), abs=1e-6)


def test_calibration_bins_are_those_of_a_calibration_curve(
    answers: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    from sklearn.calibration import calibration_curve

    probabilities, targets = answers
    right = probabilities.argmax(axis=1) == targets
    bins = metrics.reliability(probabilities, right)
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=metrics.BINS)
    assert [one.accuracy for one in bins] == pytest.approx(accuracy)
    assert [one.confidence for one in bins] == pytest.approx(confidence)
    assert sum(one.photos for one in bins) == len(targets)


def test_calibration_error_by_hand() -> None:
    # Two photos at 0.9, one right; two at 0.6, both right: (2 * |0.5 - 0.9| + 2 * |1 - 0.6|) / 4.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]], dtype=np.float32)
    bins = metrics.reliability(probabilities, np.array([True, False, True, True]))
    assert metrics.calibration_error(bins) == pytest.approx(0.4, abs=1e-6)


def test_a_perfect_model_has_a_calibration_error_by_chance_that_falls_with_photos(
    answers: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    probabilities, _ = answers
    few, many = metrics.calibration_floor(probabilities[:100]), metrics.calibration_floor(probabilities)
    assert 0.01 < many < few < 0.2


def test_order_brings_confused_classes_together() -> None:
    # 0 is confused with 3, 1 with 2: whatever the order, partners are neighbours.
    matrix = np.diag([50, 50, 50, 50])
    matrix[0, 3] = matrix[3, 0] = matrix[1, 2] = matrix[2, 1] = 20
    order = metrics.together(matrix).tolist()
    assert sorted(order) == [0, 1, 2, 3]
    assert abs(order.index(0) - order.index(3)) == 1
    assert abs(order.index(1) - order.index(2)) == 1


def test_mcnemar_by_hand() -> None:
    # Ten photos on which one model alone is right, one the other way: 2 * (1 + 11) / 2**11.
    right = np.array([True] * 10 + [False] + [True] * 30)
    other = np.array([False] * 10 + [True] + [True] * 30)
    assert metrics.mcnemar(right, other) == pytest.approx(2 * 12 / 2**11)
    assert metrics.mcnemar(right, right) == 1.0


def test_scores_are_told_apart_as_scikit_learn_says() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    inside, outside = rng.normal(1, 1, 300).round(1), rng.normal(0, 1, 200).round(1)
    expected = roc_auc_score([1] * 300 + [0] * 200, np.concatenate([inside, outside]))
    assert metrics.auroc(inside, outside) == pytest.approx(expected)
    assert metrics.auroc(inside, inside) == 0.5
    threshold = np.sort(inside)[15]
    assert (inside >= threshold).mean() >= 0.95
    assert metrics.false_alarms(inside, outside) == pytest.approx((outside >= threshold).mean())
