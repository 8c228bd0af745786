"""A bundle measured on photos, against scikit-learn and against what is known of the photos."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from foodscene.models import bundle
from foodscene.models.bundle import Bundle
from foodscene.models.engine import open_engine
from foodscene.training.data import load
from foodscene.training.data.load import Data
from foodscene.training.evaluation import inference
from foodscene.training.evaluation.evaluation import EvaluationError
from foodscene.training.evaluation.outputs import Looking


def test_figures_of_a_bundle_are_scikit_learns(toy_bundle: Path, colours: Path) -> None:
    found = bundle.read_bundle(toy_bundle / "colours")
    loaded = load.load(colours, found.spec)
    engine = open_engine(found)
    measured = inference.evaluate(Looking(found, engine), loaded, loaded.test)

    known = [row for row in loaded.test if loaded.classes[loaded.labels[row]] != "Grey"]
    assert measured.names == [loaded.names[row] for row in known]
    targets = [found.labels.index(loaded.classes[loaded.labels[row]].lower()) for row in known]
    probabilities = engine.predict(np.asarray(loaded.pixels[known]))
    predicted = probabilities.argmax(axis=1)
    assert len(known) == 18
    assert measured.top1.value == pytest.approx(metrics.accuracy_score(targets, predicted))
    assert measured.top5 is None
    assert measured.loss == pytest.approx(metrics.log_loss(targets, probabilities.astype(float)), rel=1e-4)
    assert (measured.matrix == metrics.confusion_matrix(targets, predicted)).all()
    report = metrics.classification_report(
        targets, predicted, target_names=found.labels, output_dict=True, zero_division=0
    )
    for label, one in measured.per_class.items():
        got = (one.precision, one.recall.value, one.f1, one.photos)
        expected = tuple(report[label][name] for name in ("precision", "recall", "f1-score", "support"))
        assert got == pytest.approx(expected)

    wrong = measured.mistakes()
    assert 0 < len(wrong) == (predicted != targets).sum()
    assert [one.probability for one in wrong] == sorted((one.probability for one in wrong), reverse=True)
    assert all(one.true != one.predicted for one in wrong)


@pytest.mark.nightly
def test_every_figure_of_a_trained_model_is_what_others_compute(scenes_cnn: Bundle, scenes: Data) -> None:
    engine = open_engine(scenes_cnn, threads=1)
    measured = inference.evaluate(Looking(scenes_cnn, engine), scenes, scenes.test)
    targets = [scenes_cnn.labels.index(scenes.classes[label]) for label in scenes.labels]
    probabilities = np.concatenate([engine.predict(scenes.pixels[row : row + 1]) for row in scenes.test]).astype(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)

    right = int(metrics.accuracy_score(targets, predicted, normalize=False))
    for share, hits in (
        (measured.top1, right),
        (measured.top5, int(metrics.top_k_accuracy_score(targets, probabilities, k=5, normalize=False))),
    ):
        interval = binomtest(hits, len(targets)).proportion_ci(method="wilson")
        assert share == pytest.approx((hits / len(targets), interval.low, interval.high), abs=1e-6)
    assert 0.8 < right / len(targets) < 1
    assert measured.loss == pytest.approx(metrics.log_loss(targets, probabilities), rel=1e-4)
    assert (measured.matrix == metrics.confusion_matrix(targets, predicted)).all()
    figures = metrics.precision_recall_fscore_support(targets, predicted)
    for name, column in zip(("precision", "recall", "f1", "photos"), figures, strict=True):
        ours = [one.recall.value if name == "recall" else getattr(one, name) for one in measured.per_class.values()]
        assert ours == pytest.approx(column), name

    confidence, hit = probabilities.max(axis=1), predicted == targets
    accuracy, given = calibration_curve(hit, confidence, n_bins=15)
    counts = np.histogram(confidence, np.linspace(0, 1, 16))[0]
    error = np.average(np.abs(accuracy - given), weights=counts[counts > 0])
    assert measured.calibration_error == pytest.approx(error, abs=1e-5)


def test_classes_are_matched_by_name() -> None:
    assert inference.match(["Apple Pie", "sea", "ice"], ["sea", "apple_pie"]).tolist() == [1, 0, -1]
    with pytest.raises(EvaluationError, match="made for other photos"):
        inference.match(["cat", "dog"], ["sea", "forest"])
