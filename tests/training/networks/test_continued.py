import json
from pathlib import Path

import keras
import numpy as np
import pytest

from foodscene.models.bundle import SHIPPED, Bundle, read_bundle
from foodscene.models.engine import KerasEngine, open_engine
from foodscene.training.networks import continued
from foodscene.training.networks.transfer import WeightsError
from foodscene.training.recipes import recipe as recipes


@pytest.fixture(scope="module")
def start() -> Bundle:
    return read_bundle(SHIPPED / "scenes-cnn")


def at_its_size(start: Bundle, *settings: str) -> recipes.Recipe:
    return recipes.load("photos/few", [f"input.size={start.spec.height}", *settings])


def test_the_bundle_s_network_is_frozen_below_a_new_head(start: Bundle) -> None:
    model = continued.build(at_its_size(start), ["forest", "kitchen"], start)
    assert model.output_shape == (None, 2)
    assert [weight.path.split("/")[0] for weight in model.trainable_weights] == ["output", "output"]
    photo = np.random.default_rng(0).integers(0, 256, (2, *start.spec.shape)).astype(np.float32)
    whole = KerasEngine(start).model
    theirs = keras.Model(whole.inputs, whole.get_layer("pool").output)
    ours = keras.Model(model.inputs, model.get_layer("pool").output)
    np.testing.assert_allclose(ours.predict(photo, verbose=0), theirs.predict(photo, verbose=0), atol=1e-5)


def test_what_it_knows_of_labels_that_stay_is_kept(start: Bundle) -> None:
    labels = ["kitchen", *reversed(start.labels)]
    model = continued.build(at_its_size(start), labels, start)
    old, new = KerasEngine(start).model.get_layer("logits").get_weights(), model.layers[-1].get_weights()
    for label in start.labels:
        np.testing.assert_array_equal(new[0][:, labels.index(label)], old[0][:, start.labels.index(label)])


def test_models_made_elsewhere_are_a_start_too(tmp_path: Path) -> None:
    """As Teachable Machine makes them: networks within a network, pixels that somebody else scales."""
    body = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalMaxPooling2D()])
    head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(2, "softmax")])
    keras.Sequential([body, head]).save(tmp_path / "model.h5")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    (tmp_path / "card.json").write_text('{"input": {"height": 32, "width": 32, "rescale": 0.00784}}')
    start = read_bundle(tmp_path)
    model = continued.build(at_its_size(start), ["dog", "cow", "cat"], start)
    photo = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    logits = keras.Model(model.inputs, model.get_layer("pool").output).predict(photo, verbose=0)
    assert logits.shape == (1, 5)
    assert model.predict(photo, verbose=0).shape == (1, 3)


@pytest.mark.parametrize(
    "scaling", [{"rescale": 0.00784, "offset": -1}, {"channel_order": "bgr", "mean": [103.939, 116.779, 123.68]}]
)
def test_pixels_are_scaled_as_the_bundle_s_were(tmp_path: Path, scaling: dict[str, object]) -> None:
    inputs = keras.Input((32, 32, 3))
    features = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, keras.layers.Dense(2, "softmax")(features)).save(tmp_path / "model.h5")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    (tmp_path / "card.json").write_text(json.dumps({"input": scaling}))
    start = read_bundle(tmp_path)
    model = continued.build(at_its_size(start), ["dog", "cat"], start)
    photos = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        model.predict(photos.astype(np.float32), verbose=0), open_engine(start).predict(photos)[:, ::-1], atol=1e-4
    )


def test_what_is_no_start_is_refused(start: Bundle) -> None:
    with pytest.raises(WeightsError, match="a convolutional network does not go on from a bundle"):
        continued.build(recipes.load("food/augmented"), ["a", "b"], start)
