"""A bundle measured on photos, against scikit-learn and against what is known of the photos."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from models import bundle
from models.engine import open_engine
from training import data, evaluation
from training.evaluation import EvaluationError

COLOURS = {"Red": (230, 30, 30), "Green": (30, 220, 40), "Blue": (40, 50, 230)}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Noisy photos of three colours and of one that the toy bundle does not know, in three splits."""
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(1)
    for split in ("train", "validation", "test"):
        for name, colour in {**COLOURS, "Grey": (128, 128, 128)}.items():
            folder = tmp_path / "colours" / split / name
            folder.mkdir(parents=True)
            for index in range(6):
                noise = rng.normal(0, 60, (16, 16, 3)) + rng.normal(0, 110, 3)
                picture = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(picture).save(folder / f"{index}.png")
    return tmp_path / "colours"


def test_figures_of_a_bundle_are_scikit_learns(toy_bundle: Path, photos: Path) -> None:
    found = bundle.read(toy_bundle / "colours")
    loaded = data.load(photos, found.spec)
    engine = open_engine(found)
    measured = evaluation.evaluate(engine, found.labels, loaded, loaded.test)

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


def test_answers_are_kept_exactly(toy_bundle: Path, photos: Path, tmp_path: Path) -> None:
    found = bundle.read(toy_bundle / "colours")
    loaded = data.load(photos, found.spec)
    measured = evaluation.evaluate(open_engine(found), found.labels, loaded, loaded.test)
    measured.save(tmp_path / "predictions.npz")
    kept = evaluation.load(tmp_path / "predictions.npz")
    assert kept.as_json() == measured.as_json()
    with pytest.raises(EvaluationError, match="keeps no answers"):
        evaluation.load(tmp_path / "nothing.npz")


def test_a_bundle_takes_the_figures_into_its_card(toy_bundle: Path, photos: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(toy_bundle / "colours", tmp_path / "colours-copy")
    found = bundle.read(tmp_path / "colours-copy")
    loaded = data.load(photos, found.spec)
    measured = evaluation.evaluate(open_engine(found), found.labels, loaded, loaded.test)
    evaluation.save(found, measured)
    card = bundle.read(found.folder).card
    assert card.metrics is not None
    assert card.metrics.images == 18
    assert card.metrics.top1 == pytest.approx(measured.top1.value, abs=1e-6)
    assert card.per_class["red"]["photos"] == 6
    assert (found.folder / "confusion.json").exists()


def test_classes_are_matched_by_name() -> None:
    assert evaluation.match(["Apple Pie", "sea", "ice"], ["sea", "apple_pie"]).tolist() == [1, 0, -1]
    with pytest.raises(EvaluationError, match="made for other photos"):
        evaluation.match(["cat", "dog"], ["sea", "forest"])


def test_several_data_sets_together() -> None:
    one = evaluation.Evaluation(("a", "b"), ["1"], np.array([0]), np.array([[0.9, 0.1]], np.float32))
    two = evaluation.Evaluation(("a", "b"), ["2", "3"], np.array([1, 1]), np.array([[0.8, 0.2]] * 2, np.float32))
    both = evaluation.join([one, two])
    assert both.top1.value == pytest.approx(1 / 3)
    assert both.confusion_csv().splitlines()[0] in ("true \\ told,a,b", "true \\ told,b,a")
