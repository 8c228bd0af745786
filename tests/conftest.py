"""What tests of several packages share."""

import os
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foodscene  # noqa: F401 - before ONNX Runtime, which it keeps from telling of this machine

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one bundle, `colours`, that tells red, green and blue photos apart (16 x 16, RGB)."""
    import keras

    from foodscene.models import saving
    from foodscene.models.card import Card, CardInput, CardMetrics

    inputs = keras.Input((16, 16, 3))
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
    model.layers[-1].set_weights([np.eye(3) * 5, np.zeros(3)])
    card = Card(
        title="Colours",
        domain="made-up colours",
        input=CardInput(height=16, width=16),
        metrics=CardMetrics(images=30, top1=0.9, top5=1.0, calibration_error=0.05),
    )
    sample = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    root = tmp_path_factory.mktemp("bundles")
    saving.write(root / "colours", model, ["red", "green", "blue"], card, sample, {"README.md": "# Colours\n"})
    return root


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache of data sets: a folder of this test run's own."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("FOODSCENE_CACHE")
    os.environ["FOODSCENE_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["FOODSCENE_CACHE"]
    else:
        os.environ["FOODSCENE_CACHE"] = before


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the real data sets, which are no part of the repository."""
    folder = Path(os.environ.get("FOODSCENE_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs the real data sets: {folder} is absent (FOODSCENE_DATA says where they are)")
    return folder


@pytest.fixture(scope="session")
def photo() -> Callable[..., bytes]:
    """Makes the JPEG of a picture that looks like no other: `photo(7)`, `photo(7, width=100, height=80)`."""

    def make(seed: int, width: int = 72, height: int = 64, quality: int = 90) -> bytes:
        blobs = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        target = BytesIO()
        image = Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)
        image.save(target, "JPEG", quality=quality)
        return target.getvalue()

    return make


@pytest.fixture
def colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Noisy photos of the toy bundle's three colours and of one that it does not know, in three splits, 6 of each."""
    monkeypatch.setenv("FOODSCENE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(1)
    known = {"Red": (230, 30, 30), "Green": (30, 220, 40), "Blue": (40, 50, 230)}
    for split in ("train", "validation", "test"):
        for name, colour in {**known, "Grey": (128, 128, 128)}.items():
            folder = tmp_path / "colours" / split / name
            folder.mkdir(parents=True)
            for index in range(6):
                noise = rng.normal(0, 60, (16, 16, 3)) + rng.normal(0, 110, 3)
                picture = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(picture).save(folder / f"{index}.png")
    return tmp_path / "colours"


@pytest.fixture(scope="session")
def fallback_bundles(toy_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `colours`, to which other colours are not familiar, and its fallback `things` (24 x 24, RGB).

    `things` knows yellow and purple too, which are foreign; a photo is known where these have less than a half. Of
    orange-red `colours` is not sure, and it is known.
    """
    import keras

    from foodscene.models import familiarity, saving
    from foodscene.models.bundle import FAMILIAR, Bundle, read_bundle
    from foodscene.models.card import Card, CardConformal, CardFallback, CardFallbackRule, CardInput

    root = tmp_path_factory.mktemp("fallback")
    colours = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "purple": (0.5, 0, 0.5)}
    centres = np.array(list(colours.values()), np.float32)
    inputs = keras.Input((24, 24, 3))
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(len(colours), activation="softmax")(hidden))
    model.layers[-1].set_weights([20 * centres.T, -10 * (centres**2).sum(axis=1)])  # the nearest of the colours
    card = Card(title="Things", input=CardInput(height=24, width=24), foreign=["yellow", "purple"])
    sample = np.random.default_rng(0).integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)
    saving.write(root / "things", model, list(colours), card, sample)

    asker = read_bundle(toy_bundle / "colours")
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = (np.eye(3)[labels] + rng.normal(0, 0.05, (60, 3))).astype(np.float32)
    rule = CardFallbackRule(intercept=0.5, probability=0, familiarity=0, foreign=-1)
    says = {
        "conformal": CardConformal(coverage=0.95, quantile=0.6, photos=60),
        "fallback": CardFallback(bundle="things", rule=rule),
    }

    def complete(new: Bundle) -> None:
        (new.folder / FAMILIAR).write_bytes(familiarity.fit(features, labels, [features], new.sha256).as_bytes())
        saving.write_card(new.folder, new.card.model_copy(update=says))

    saving.write_copy(root / "colours", asker, asker.card, complete=complete)
    return root
