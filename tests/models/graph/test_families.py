"""The families of keras.applications that are made of built-in layers, small and with drawn weights."""

from pathlib import Path

import keras
import pytest

from foodscene.models.graph.reader import read
from tests.models.graph.agreement import assert_agrees, drawn, photos, saved

pytestmark = pytest.mark.slow

SIDES = {"NASNetMobile": 32, "InceptionV3": 75, "Xception": 71}
OFTEN = "ConvNeXtTiny EfficientNetB0 MobileNet MobileNetV2 MobileNetV3Small ResNet50V2 VGG16".split()
NIGHTLY = "DenseNet121 EfficientNetV2B0 InceptionV3 MobileNetV3Large NASNetMobile ResNet50 VGG19 Xception".split()


@pytest.mark.parametrize("family", [*OFTEN, *(pytest.param(name, marks=pytest.mark.nightly) for name in NIGHTLY)])
def test_family(tmp_path: Path, family: str) -> None:
    side = SIDES.get(family, 64)
    # Without the softmax, so that the tolerance is one of the largest value: drawn weights make ResNets' answers huge.
    model = getattr(keras.applications, family)(
        weights=None, input_shape=(side, side, 3), classes=7, classifier_activation=None
    )
    graph = read(saved(drawn(model), tmp_path / "model.h5"))
    assert_agrees(graph, model, photos(model.input_shape))
    assert graph.output_shape == (None, 7)
