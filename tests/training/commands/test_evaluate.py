"""The commands `evaluate` and `calibrate`."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from foodscene.classifier import load as load_bundle
from foodscene.cli import program
from foodscene.models import bundle, saving
from foodscene.models.engine import open_engine
from foodscene.training.data import load
from foodscene.training.evaluation import inference, out_of_distribution
from foodscene.training.evaluation.evaluation import Evaluation
from foodscene.training.evaluation.outputs import Looking, opened
from foodscene.training.networks import temperature


def call(*arguments: object) -> str:
    result = CliRunner().invoke(program, list(map(str, arguments)))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


@pytest.fixture
def copied(toy_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that may be changed."""
    return Path(shutil.copytree(toy_bundle / "colours", tmp_path / "colours-copy"))


def test_strangers_are_measured_and_saved(copied: Path, colours: Path, tmp_path: Path) -> None:
    shutil.copytree(colours / "test" / "Grey", tmp_path / "greys")
    command = ("evaluate", copied, "--data", colours, "--strangers", tmp_path / "greys")
    answer = json.loads(call(*command, "--save", "--json"))
    assert answer["sure_above"] == 0.5
    assert answer["out_of_distribution"]["greys"]["photos"] == 6
    assert answer["out_of_distribution"]["noise"]["unsure"]["value"] == 1.0, "noise is grey on average"
    card = bundle.read_bundle(copied).card
    assert card.metrics is not None
    assert card.metrics.sure == pytest.approx(answer["sure"]["value"], abs=1e-6)
    assert set(card.out_of_distribution) == {"noise", "greys"}
    assert "not sure of greys" in call(*command)
    refused = CliRunner().invoke(program, ["evaluate", str(copied), "--data", str(colours), "--strangers", "nowhere"])
    assert refused.exit_code == 2
    assert "there is no nowhere" in refused.output


def test_photos_of_unknown_classes_are_told(copied: Path, colours: Path, tmp_path: Path) -> None:
    shutil.copytree(colours, tmp_path / "more")
    shutil.copytree(colours / "test" / "Grey", tmp_path / "more" / "test" / "[bold]zebra")
    said = call("evaluate", copied, "--data", tmp_path / "more")
    assert "Left out: 12 photos of 2 classes that the model does not know: Grey, [bold]zebra." in " ".join(said.split())


def test_calibrate_puts_a_temperature_into_the_model_and_says_when_it_is_sure(copied: Path, many: Path) -> None:
    found = bundle.read_bundle(copied)
    sharp = temperature.calibrated(keras.models.load_model(found.model, compile=False), 0.2)
    saving.write(copied, sharp, found.labels, found.card, np.zeros((1, 16, 16, 3), np.uint8))
    loaded = load.load(many, found.spec)

    def measured(rows: NDArray[np.int64]) -> Evaluation:
        now = bundle.read_bundle(copied)
        return inference.evaluate(Looking(now, open_engine(now)), loaded, rows)

    before = measured(loaded.test)
    said = call("calibrate", copied, "--data", many, "--right", 0.8)
    kept = temperature.temperature_of(keras.models.load_model(copied / "model.h5", compile=False))
    assert kept > 0.5, "five times too sharp"
    assert f"Temperature {kept:.3f} (before: 0.200), fitted on 30 validation photos" in said
    assert f"(before: {found.card.sure_above:.4f})" in said
    after = measured(loaded.test)
    assert (after.predicted == before.predicted).all(), "the ranking stays"
    assert after.loss < before.loss
    assert after.calibration_error < before.calibration_error
    card = bundle.read_bundle(copied).card
    assert card.metrics is not None
    assert (card.metrics.top1, card.metrics.calibration_error) == (0.9, None), "which was another model's"
    assert 0.33 < card.sure_above < 1
    assert card.validation_photos == 30
    validation = measured(loaded.validation)
    sure = validation.probabilities.max(axis=1) >= card.sure_above - 1e-3
    assert validation.right[sure].mean() >= 0.8


@pytest.fixture
def many(colours: Path) -> Path:
    """The same with ten validation photos of each colour: enough to calibrate on."""
    rng = np.random.default_rng(2)
    for name, colour in {"Red": (230, 30, 30), "Green": (30, 220, 40), "Blue": (40, 50, 230)}.items():
        for index in range(6, 10):
            noise = rng.normal(0, 60, (16, 16, 3)) + rng.normal(0, 110, 3)
            picture = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(colours / "validation" / name / f"{index}.png")
    return colours


@pytest.fixture
def theirs(copied: Path) -> Path:
    """A bundle that was made elsewhere, with a card and a README of its owner's."""
    (copied / "card.json").write_text('{"title": "Mine", "input": {"height": 16, "width": 16}, "camera": "old"}')
    (copied / "README.md").write_text("My notes.")
    return copied


def test_what_its_owner_wrote_stays_when_figures_are_saved(theirs: Path, colours: Path) -> None:
    call("evaluate", theirs, "--data", colours, "--save")
    card = json.loads((theirs / "card.json").read_text())
    assert (card["title"], card["camera"]) == ("Mine", "old")
    assert card["metrics"]["images"] == 18
    assert (theirs / "README.md").read_text() == "My notes."
    assert (theirs / "confusion.json").exists()


def test_somebody_else_s_model_is_calibrated_as_a_copy(theirs: Path, many: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in theirs.iterdir()}
    refused = CliRunner().invoke(program, ["calibrate", str(theirs), "--data", str(many)])
    assert refused.exit_code == 2
    assert "was made elsewhere" in " ".join(refused.output.replace("│", " ").split())
    call("calibrate", theirs, "--data", many, "--out", tmp_path / "calibrated")
    assert {path: path.read_bytes() for path in theirs.iterdir()} == before
    calibrated = bundle.read_bundle(tmp_path / "calibrated")
    assert calibrated.labels == bundle.read_bundle(theirs).labels
    assert calibrated.sha256 == bundle.read_bundle(theirs).sha256, "its model stays as it is"
    assert calibrated.card.temperature != 1
    photos = load.load(many, calibrated.spec)
    loss = {
        name: inference.evaluate(Looking(one, open_engine(one)), photos, photos.validation).loss
        for name, one in (("before", bundle.read_bundle(theirs)), ("after", calibrated))
    }
    assert loss["after"] < loss["before"]
    call("calibrate", tmp_path / "calibrated", "--data", many)
    assert bundle.read_bundle(tmp_path / "calibrated").card.temperature == pytest.approx(
        calibrated.card.temperature, rel=0.05
    )


def test_calibrate_says_what_is_familiar_and_promises_sets(theirs: Path, many: Path, tmp_path: Path) -> None:
    said = call("calibrate", theirs, "--data", many, "--out", tmp_path / "calibrated")
    assert "of 18 training photos: at least 95 of 100 of the 30 validation photos" in said
    found = bundle.read_bundle(tmp_path / "calibrated")
    assert found.familiar is not None
    assert found.card.conformal is not None
    assert (found.card.conformal.coverage, found.card.conformal.photos) == (0.95, 30)
    photos = load.load(many, found.spec)
    validation = inference.evaluate(Looking(found, open_engine(found)), photos, photos.validation)
    assert validation.known is not None
    assert validation.known.mean() >= 0.95
    lacking = 1 - validation.probabilities[np.arange(30), validation.targets]
    assert (lacking <= found.card.conformal.quantile).sum() >= 29.45, "ceil(31 * 0.95) = 30 of them"
    answer = json.loads(
        call("evaluate", found.folder, "--data", many, "--ood", f"other={many / 'test' / 'Grey'}", "--json")
    )
    other = answer["out_of_distribution"]["other"]
    assert 0 <= other["familiarity"]["auroc"] <= 1
    assert other["known"]["value"] <= 1
    assert answer["sets"]["coverage"]["value"] > 0.8
    assert answer["known"] is not None


def test_calibrate_refuses_a_few_photos(theirs: Path, colours: Path, tmp_path: Path) -> None:
    refused = CliRunner().invoke(
        program, ["calibrate", str(theirs), "--data", str(colours), "--out", str(tmp_path / "x")]
    )
    assert "Too few validation photos to calibrate on: 18; at least 20" in str(refused.exception)
    assert not (tmp_path / "x").exists()


def noisy(path: Path, colour: tuple[int, int, int], rng: np.random.Generator) -> None:
    """A photo of about a colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.array(colour) + rng.normal(0, 15, 3) + rng.normal(0, 30, (16, 16, 3))
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """Noisy photos of yellow and purple."""
    rng = np.random.default_rng(3)
    for index in range(40):
        noisy(tmp_path / "strangers" / f"{index}.png", ((230, 220, 30), (120, 30, 120))[index % 2], rng)
    return tmp_path / "strangers"


@pytest.fixture
def clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos of red, green and blue that are told apart, in three splits, 20 of each."""
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(4)
    for split in ("train", "validation", "test"):
        for name, colour in {"red": (220, 40, 40), "green": (40, 210, 50), "blue": (50, 60, 220)}.items():
            for index in range(20):
                noisy(tmp_path / "clear" / split / name / f"{index}.png", colour, rng)
    return tmp_path / "clear"


@pytest.mark.slow
def test_calibrate_fits_the_rule_of_a_fallback(
    theirs: Path, clear: Path, strangers: Path, fallback_bundles: Path, tmp_path: Path
) -> None:
    target, things = tmp_path / "models" / "calibrated", fallback_bundles / "things"
    target.parent.mkdir()
    asked = ("calibrate", theirs, "--data", clear, "--out", target, "--fallback", things, "--strangers", strangers)
    said = call(*asked)
    assert "the validation photos things is asked; known are then" in said
    assert "The service asks the things that lies beside calibrated: put a copy of it there." in said
    shutil.copytree(things, target.parent / "things")
    assert "put a copy" not in call(
        "calibrate", target, "--data", clear, "--fallback", "things", "--strangers", strangers
    )
    found = bundle.read_bundle(target)
    assert found.card.fallback is not None
    assert found.card.fallback.bundle == "things"
    photos = load.load(clear, found.spec)
    looking = opened(found, open_engine(found))
    assert looking.beside is not None
    validation = inference.evaluate(looking, photos, photos.validation)
    assert validation.known is not None
    assert validation.known.mean() >= 0.95
    seen = looking.at_samples(out_of_distribution.choose(strangers, found.labels)[1], "strangers")
    known = seen.known(found)
    assert known is not None
    share = known.mean()
    assert share < 0.1
    shown = json.loads(call("evaluate", target, "--data", clear, "--ood", f"odd={strangers}", "--json", "--save"))
    assert shown["out_of_distribution"]["odd"]["known"]["value"] == pytest.approx(share)
    test = inference.evaluate(looking, photos, photos.test)
    assert test.known is not None
    assert shown["known"]["value"] == pytest.approx(test.known.mean())
    card = bundle.read_bundle(target).card
    assert card.metrics is not None
    assert card.metrics.known == pytest.approx(test.known.mean(), abs=1e-6)
    assert card.out_of_distribution["odd"].known == pytest.approx(share, abs=1e-6)
    assert card.fallback == found.card.fallback

    classifier = load_bundle(target)
    answers = [classifier.predict(path) for path in sorted(strangers.iterdir())]
    assert np.mean([answer.known for answer in answers]) == pytest.approx(share), "the figures are the service's"
    call("calibrate", target, "--data", clear)
    assert bundle.read_bundle(target).card.fallback is None, "its rule was another bundle's"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--fallback", "THINGS"), "it takes --strangers too"),
        (("--strangers", "STRANGERS"), "it takes --fallback too"),
        (("--fallback", "THINGS", "--strangers", "nowhere"), "there is no nowhere"),
        (("--fallback", "OWN", "--strangers", "STRANGERS"), "cannot be its own fallback"),
        (("--fallback", "scenes-cnn", "--strangers", "STRANGERS"), "does not say which of its labels are nothing"),
        (("--fallback", "THINGS", "--strangers", "FEW"), "too few to fit a rule on"),
    ],
)
def test_calibrate_refuses_what_cannot_be_a_fallback(
    copied: Path,
    many: Path,
    strangers: Path,
    fallback_bundles: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    why: str,
) -> None:
    (tmp_path / "few").mkdir()
    for path in sorted(strangers.iterdir())[:10]:
        shutil.copy(path, tmp_path / "few")
    places = {"THINGS": fallback_bundles / "things", "OWN": copied, "STRANGERS": strangers, "FEW": tmp_path / "few"}
    given = [str(places.get(option, option)) for option in options]
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    refused = CliRunner().invoke(program, ["calibrate", str(copied), "--data", str(many), *given])
    assert refused.exit_code
    told = " ".join(f"{refused.output} {refused.exception}".replace("│", " ").split())
    assert why in told
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == before
