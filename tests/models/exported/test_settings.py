"""What exporters say beside a model: sizes, scaling and labels, as they mean them."""

import json

import numpy as np
import pytest

from foodscene.models.card import CardInput
from foodscene.models.exported import reader, settings
from foodscene.models.exported.settings import Settings
from foodscene.models.graph.graph import ModelRefused
from foodscene.models.scaling import scaling
from tests.models.exported.files import model

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), dtype=np.uint8)
CROPS = {"size": {"shortest_edge": 256}, "do_center_crop": True}
MEAN, STD = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]


def read(metadata: dict[str, str] | None = None, **beside: object) -> Settings:
    export = reader.read(model(metadata=metadata).SerializeToString())
    texts = {f"{name}.json": said if isinstance(said, str) else json.dumps(said) for name, said in beside.items()}
    return settings.read(export, lambda part: texts[part].encode() if part in texts else None)


def scaled(found: Settings) -> np.ndarray:
    given = CardInput.model_validate(found.input)
    return scaling(given, found.said_by).apply(PIXELS)


def test_where_nothing_is_said_nothing_is_told() -> None:
    assert read() == Settings()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        # As transformers' processors compute it.
        ({"image_mean": MEAN, "image_std": STD}, (PIXELS / 255 - MEAN) / STD),
        ({"do_normalize": False, "image_mean": MEAN, "image_std": STD}, PIXELS / 255),
        ({"do_rescale": False, "do_normalize": False}, PIXELS.astype(float)),
        ({"do_rescale": True, "rescale_factor": 1 / 127.5, "rescale_offset": True}, PIXELS / 127.5 - 1),
        ({"do_flip_channel_order": True, "image_mean": MEAN, "image_std": STD}, PIXELS[..., ::-1] / 255),
        ({"include_top": True, "image_mean": MEAN, "image_std": STD}, (PIXELS / 255 - MEAN) / STD / STD),
    ],
)
def test_scaling_of_hugging_face(said: dict[str, object], expected: np.ndarray) -> None:
    found = read(preprocessor_config=said)
    assert found.said_by == "by preprocessor_config.json"
    np.testing.assert_allclose(scaled(found), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "size", "fit"),
    [
        ({"size": 224}, (224, 224), "squash"),
        ({"size": {"height": 200, "width": 100}}, (200, 100), "squash"),
        (CROPS | {"crop_size": {"height": 224, "width": 224}}, (224, 224), "crop"),
        (CROPS | {"crop_size": 224}, (224, 224), "crop"),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, (384, 384), "crop"),
    ],
)
def test_sizes_of_hugging_face(said: dict[str, object], size: tuple[int, int], fit: str) -> None:
    taken = read(preprocessor_config=said).input
    assert ((taken["height"], taken["width"]), taken["fit"]) == (size, fit)


def test_labels_of_hugging_face_are_taken_unless_they_are_numbers() -> None:
    assert read(config={"id2label": {"1": "cat", "0": "dog"}}).labels == ("dog", "cat")
    assert read(config={"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}).labels is None
    assert read(config={"id2label": {"0": "dog", "7": "cat"}}).labels is None


def test_timm() -> None:
    said = {"input_size": [3, 100, 90], "mean": MEAN, "std": STD, "crop_mode": "center", "crop_pct": 0.9}
    found = read(config={"pretrained_cfg": said, "label_names": ["a", "b", "c"]})
    assert (found.input["height"], found.input["width"], found.input["fit"]) == (100, 90, "crop")
    assert (found.said_by, found.labels) == ("by config.json", ("a", "b", "c"))
    np.testing.assert_allclose(scaled(found), (PIXELS / 255 - MEAN) / STD, atol=1e-5)


def test_ultralytics() -> None:
    said = {"author": "Ultralytics", "task": "classify", "imgsz": "[64, 64]", "names": "{0: 'a', 1: \"b's\"}"}
    found = read(said)
    assert (found.labels, found.input["fit"], found.input["height"]) == (("a", "b's"), "crop", 64)
    np.testing.assert_allclose(scaled(found), PIXELS / 255, atol=1e-6)
    with pytest.raises(ModelRefused, match="not as a classifier: task: Input should be 'classify'"):
        read(said | {"task": "detect"})
    with pytest.raises(ModelRefused, match="not as a classifier"):
        read(said | {"names": "__import__('os')"})


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"preprocessor_config": "no JSON"}, "preprocessor_config.json makes no sense: the file: Invalid JSON"),
        ({"preprocessor_config": {"size": 10**9}}, "preprocessor_config.json makes no sense: size"),
        ({"preprocessor_config": {"image_mean": ["a"]}}, "preprocessor_config.json makes no sense: image_mean.0"),
        ({"config": {"id2label": 3}}, "config.json makes no sense: id2label"),
        ({"config": {"problem_type": "multi_label_classification"}}, "Export it with a sigmoid"),
    ],
)
def test_what_makes_no_sense_is_refused(beside: dict[str, object], said: str) -> None:
    with pytest.raises(ModelRefused, match=said):
        read(**beside)
