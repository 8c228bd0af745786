"""What a bundle's card says of an evaluation."""

import shutil
from pathlib import Path

import pytest

from foodscene.models import bundle
from foodscene.models.engine import open_engine
from foodscene.training.data import load
from foodscene.training.evaluation import inference, out_of_distribution
from foodscene.training.evaluation.outputs import Looking
from foodscene.training.reports import model_card


def test_a_bundle_takes_the_figures_into_its_card(toy_bundle: Path, colours: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_bundle / "colours", tmp_path / "colours-copy")
    found = bundle.read_bundle(tmp_path / "colours-copy")
    loaded, engine = load.load(colours, found.spec), open_engine(found)
    measured = inference.evaluate(Looking(found, engine), loaded, loaded.test)
    name, seen = out_of_distribution.see(Looking(found, engine), colours)
    nothing = out_of_distribution.measure(found, name, seen, measured)
    model_card.save(found, measured, {"colours": measured, "again": measured}, [nothing])

    said = bundle.read_bundle(found.folder).card
    assert said.metrics is not None
    assert said.metrics.images == 18
    assert said.metrics.top1 == pytest.approx(measured.top1.value, abs=1e-6)
    sure = measured.probabilities.max(axis=1) >= said.sure_above
    assert said.metrics.sure == pytest.approx(sure.mean(), abs=1e-6)
    assert said.metrics.sure_top1 == pytest.approx(measured.right[sure].mean(), abs=1e-6)
    assert said.per_class["red"]["photos"] == 6
    assert said.out_of_distribution["colours"].photos == 18
    assert said.per_class["red"]["recall_low"] < said.per_class["red"]["recall"]
    assert said.parts["again"] == said.metrics
    low, high = said.metrics.top1_interval or (1, 0)
    assert low < said.metrics.top1 < high
    assert (found.folder / "confusion.json").exists()
    assert f"| {name} | 18 |" in (found.folder / "README.md").read_text()

    again = model_card.recalibrated(said, 0.75, 240)
    assert (again.sure_above, again.validation_photos) == (0.75, 240)
    assert again.metrics is not None
    assert (again.metrics.top1, again.metrics.sure, again.out_of_distribution) == (said.metrics.top1, None, {})
