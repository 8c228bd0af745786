import shutil
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from foodscene.app.main import create_app
from foodscene.app.settings import Settings
from foodscene.cli import program
from foodscene.models import pixels
from foodscene.models.pixels import InputSpec
from foodscene.training import networks
from foodscene.training.networks import transfer
from foodscene.training.networks.transfer import WeightsError
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import Recipe

pytestmark = pytest.mark.slow


def tiny(backbone: str, *settings: str) -> Recipe:
    sized = ["input.size=32", f"model.backbone={backbone}", "model.dense=[8]", *settings]
    return recipes.load("food/vgg16-48", sized)


def write_official(model: keras.Model, path: Path) -> Path:
    """The layout in which keras.applications publishes weights: a group per layer, names in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [
                f"{layer.name}_{'W' if weight.ndim > 1 else 'b'}_{i}" for i, weight in enumerate(layer.get_weights())
            ]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.get_weights(), strict=True):
                group[name] = weight
    return path


@pytest.fixture(scope="module")
def vgg16() -> keras.Model:
    return keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))


@pytest.fixture(scope="module")
def official(vgg16: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_official(
        vgg16, tmp_path_factory.mktemp("weights") / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    )


@pytest.fixture(scope="module")
def model(official: Path) -> keras.Model:
    return networks.build(tiny("VGG16"), 10, weights=str(official))


def photos(size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.float32)


def test_vgg16_sees_what_its_own_preprocessing_makes(vgg16: keras.Model, model: keras.Model) -> None:
    pooled = keras.Model(model.inputs, model.get_layer("pool").output).predict(photos(), verbose=0)
    wanted = vgg16.predict(keras.applications.vgg16.preprocess_input(photos().copy()), verbose=0).mean(axis=(1, 2))
    np.testing.assert_allclose(pooled, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_a_frozen_backbone_leaves_the_head_alone_to_train(model: keras.Model) -> None:
    assert {weight.path.split("/")[0] for weight in model.trainable_weights} == {"dense_1", "output"}


@pytest.mark.parametrize(
    ("what", "trained", "frozen"),
    [("block5", "block5_conv1", "block4_conv3"), (1, "block5_conv3", "block5_conv2"), ("all", "block1_conv1", "")],
)
def test_the_last_layers_are_unfrozen(official: Path, what: str | int, trained: str, frozen: str) -> None:
    model = networks.build(tiny("VGG16"), 10, weights="none")
    transfer.unfreeze(model, what)
    names = {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert {"dense_1", "output", trained} <= names
    assert frozen not in names


def test_batch_norm_stays_frozen() -> None:
    model = networks.build(tiny("MobileNetV2"), 10, weights="none")
    transfer.unfreeze(model, "all")
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    assert not any(layer.trainable for layer in norms)
    assert model.get_layer("Conv1").trainable


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("ResNet50", "resnet"),
        ("ResNet50V2", "resnet_v2"),
        ("MobileNetV2", "mobilenet_v2"),
        ("MobileNetV3Small", "mobilenet_v3"),
        ("DenseNet121", "densenet"),
        ("EfficientNetB0", "efficientnet"),
        ("InceptionV3", "inception_v3"),
        ("Xception", "xception"),
    ],
)
def test_each_family_has_its_own_preprocessing(name: str, module: str) -> None:
    pixels = keras.Input((32, 32, 3))
    made = keras.Model(pixels, keras.layers.Activation("linear")(transfer.preprocess(name, pixels)))
    wanted = getattr(keras.applications, module).preprocess_input(photos().copy())
    if name == "ResNet50":  # blue, green, red: the first kernel is turned over instead
        wanted = wanted[..., ::-1]
    np.testing.assert_allclose(made.predict(photos(), verbose=0), wanted, rtol=1e-4, atol=1e-4)


def test_an_unknown_backbone_brings_the_known_ones() -> None:
    with pytest.raises(WeightsError, match=r"Allowed: .*VGG16"):
        networks.build(tiny("VGG61"), 10, weights="none")


def test_gray_photos_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"input\.channels = 3"):
        networks.build(tiny("VGG16", "input.channels=1"), 10, weights="none")


def test_photos_that_are_too_small_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"input\.size"):
        networks.build(tiny("VGG16", "input.size=16"), 10, weights="none")


def test_a_file_that_is_absent_or_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no file"):
        networks.build(tiny("VGG16"), 10, weights=str(tmp_path / "absent.h5"))
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(WeightsError, match=r"does not hold the weights of .*VGG16"):
        networks.build(tiny("VGG16"), 10, weights=str(tmp_path / "other.weights.h5"))


def test_weights_that_cannot_be_downloaded_are_named_with_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    real = keras.applications.VGG16

    def offline(*, weights: str | None = None, **arguments: object) -> keras.Model:
        if weights == "imagenet":
            raise Exception("URL fetch failure on https://example.org/vgg16_notop.h5: None -- unreachable")
        return real(weights=weights, **arguments)

    monkeypatch.setattr(keras.applications, "VGG16", offline)
    with pytest.raises(WeightsError, match=r"https://example\.org/vgg16_notop\.h5 \(about 59 MB\).*\.keras/models"):
        networks.build(tiny("VGG16"), 10)


@pytest.mark.nightly
def test_vgg16_from_its_official_file_trains_fine_tunes_and_serves(
    tmp_path: Path, official: Path, vgg16: keras.Model, photo: Callable[..., bytes]
) -> None:
    """The whole way of a user without a network connection: weights file, photos, training, `.h5`, HTTP."""
    for number in range(24):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(number))
    small = [
        "input.size=32",
        "model.dense=[8]",
        "training.batch_size=8",
        "training.epochs=1",
        "finetune.epochs=1",
        "training.keep=last",
    ]
    arguments = [
        "food/vgg16-finetuned",
        "--data",
        tmp_path / "photos",
        "--weights",
        official,
        "--run",
        tmp_path / "run",
    ]
    done = CliRunner().invoke(
        program, ["train", *map(str, arguments), *(word for one in small for word in ("--set", one))]
    )
    assert done.exit_code == 0, (done.output, done.exception)
    folder = tmp_path / "run" / "models" / "food-vgg16-finetuned"

    saved = keras.models.load_model(folder / "model.h5", compile=False)
    for name, kept in (("block4_conv1", True), ("block5_conv1", False)):
        before, after = (model.get_layer(name).get_weights()[0] for model in (vgg16, saved))
        assert (before == after).all() == kept  # the last block alone was trained

    (tmp_path / "served" / "mine").mkdir(parents=True)
    for name in ("model.h5", "labels.txt"):  # without the compiled model: Keras reads the .h5
        shutil.copy(folder / name, tmp_path / "served" / "mine")
    settings = Settings(models=tmp_path / "served", threads=1, scheduling="parallel", reload_seconds=0)
    with TestClient(create_app(settings)) as client:
        until = time.monotonic() + 60
        while client.get("/readyz").status_code != 200 and time.monotonic() < until:
            time.sleep(0.05)
        answer = client.post("/api/v1/predict", files={"file": ("0.jpg", photo(0), "image/jpeg")}).json()
    told = saved.predict(pixels.read_photo(photo(0), InputSpec(32, 32))[None].astype("float32"), verbose=0)[0]
    assert {one["label"]: one["probability"] for one in answer["predictions"]} == {
        label: pytest.approx(float(value), abs=1e-3) for label, value in zip("ab", told, strict=True)
    }
