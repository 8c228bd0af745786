"""A bundle measured on photos, against scikit-learn and against what is known of the photos."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from models import bundle
from models.engine import open_engine
from training import data, measurement
from training.evaluation import EvaluationError


def test_figures_of_a_bundle_are_scikit_learns(toy_bundle: Path, colours: Path) -> None:
    found = bundle.read(toy_bundle / "colours")
    loaded = data.load(colours, found.spec)
    engine = open_engine(found)
    measured = measurement.evaluate(engine, found.labels, loaded, loaded.test)

    known = [row for row in loaded.test if loaded.classes[loaded.labels[row]] != "Grey"]
    assert measured.names == [loaded.names[row] for row in known]
    truths = [found.labels.index(loaded.classes[loaded.labels[row]].lower()) for row in known]
    probabilities = engine.predict(np.asarray(loaded.pixels[known]))
    told = probabilities.argmax(axis=1)
    assert len(known) == 18
    assert measured.top1.value == pytest.approx(metrics.accuracy_score(truths, told))
    assert measured.top5 is None
    assert measured.loss == pytest.approx(metrics.log_loss(truths, probabilities.astype(float)), rel=1e-4)
    assert (measured.matrix == metrics.confusion_matrix(truths, told)).all()
    report = metrics.classification_report(truths, told, target_names=found.labels, output_dict=True, zero_division=0)
    for label, one in measured.per_class.items():
        got = (one.precision, one.recall.value, one.f1, one.photos)
        expected = tuple(report[label][name] for name in ("precision", "recall", "f1-score", "support"))
        assert got == pytest.approx(expected)

    wrong = measured.mistakes()
    assert 0 < len(wrong) == (told != truths).sum()
    assert [one.probability for one in wrong] == sorted((one.probability for one in wrong), reverse=True)
    assert all(one.true != one.told for one in wrong)


def test_classes_are_matched_by_name() -> None:
    assert measurement.match(["Apple Pie", "sea", "ice"], ["sea", "apple_pie"]).tolist() == [1, 0, -1]
    with pytest.raises(EvaluationError, match="made for other photos"):
        measurement.match(["cat", "dog"], ["sea", "forest"])
