"""What a network sees: its first layer's kernels, what its layers make of a photo, and which part of it decided."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foodscene.models.errors import FoodsceneError
from foodscene.training import sheet
from foodscene.training.networks import temperature
from foodscene.training.networks.flatten import flat

_TILE, _GAP = 64, 4


class ExplanationError(FoodsceneError, ValueError):
    """A network that cannot be looked into. Its text says why."""


class Grid(NamedTuple):
    """A picture of many tiles: what it shows, and the PNG."""

    title: str
    png: bytes


def filters(model: keras.Model, most: int = 64) -> Grid:
    """The kernels of the first convolution, each stretched to its own range: what colours and edges it looks for."""
    layer = _convolutions(flat(model))[0]
    kernels = np.asarray(layer.get_weights()[0], dtype=np.float32)
    tiles = [_stretched(kernels[..., index]) for index in range(min(most, kernels.shape[-1]))]
    if kernels.shape[2] not in (1, 3):
        tiles = [tile.mean(axis=2, keepdims=True).astype(np.uint8) for tile in tiles]
    return Grid(f"{layer.name}: {len(tiles)} of {kernels.shape[-1]} kernels", _grid(tiles))


def feature_maps(model: keras.Model, photo: NDArray[np.uint8], layers: int = 5, maps: int = 16) -> list[Grid]:
    """What convolutions along the network make of a photo of shape (height, width, channels): the liveliest maps.

    None where every convolution's output is a single pixel.
    """
    model = flat(model)
    convolutions = [layer for layer in _convolutions(model) if min(layer.output.shape[1:3]) > 1]
    if not convolutions:
        return []
    chosen = np.unique(np.linspace(0, len(convolutions) - 1, layers).round().astype(int))
    shown = [convolutions[index] for index in chosen]
    outputs = _call(keras.Model(model.inputs[0], [layer.output for layer in shown]), photo[None])
    grids = []
    for layer, output in zip(shown, outputs, strict=True):
        values = output[0]
        liveliest = np.argsort(-values.std(axis=(0, 1)), kind="stable")[:maps]
        tiles = [_coloured(_stretched(values[..., index])) for index in liveliest]
        size = f"{values.shape[1]} x {values.shape[0]}"
        grids.append(Grid(f"{layer.name}: {len(tiles)} of {values.shape[2]} maps, {size}", _grid(tiles)))
    return grids


def grad_cam(model: keras.Model, photos: NDArray[np.uint8], labels: Sequence[int]) -> NDArray[np.float32]:
    """Which parts of each photo speak for its label: shape (n, height, width) as `photos` have it, values 0 to 1.

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017: the last
    feature maps, weighted by the mean gradient of the label's logit. Raises `ExplanationError` where no layer of the
    network still has a height and a width, `CalibrationError` where it has no logits.
    """
    model = flat(model)
    spatial = [layer for layer in model.layers[1:] if len(layer.output.shape) == 4 and min(layer.output.shape[1:3]) > 1]
    if not spatial:
        raise ExplanationError("The network has no convolutions: there are no places in it that could be shown.")
    logits = temperature.calibrated(model, 1.0).layers[-1].input
    body = keras.Model(model.inputs[0], spatial[-1].output)
    head = keras.Model(spatial[-1].output, logits)
    maps = _call(body, photos)[0]
    weights = _gradient(head, maps, labels).mean(axis=(1, 2), keepdims=True)
    heats = np.maximum((maps * weights).sum(axis=-1), 0)
    heats /= np.maximum(heats.max(axis=(1, 2), keepdims=True), 1e-12)
    return np.stack([_resized(heat, *photos.shape[1:3]) for heat in heats])


def overlaid(photo: NDArray[np.uint8], heat: NDArray[np.float32]) -> bytes:
    """A photo of any size beside itself, dimmed where it did not matter and coloured where it did: a PNG."""
    colours = np.broadcast_to(photo, (*photo.shape[:2], 3)).astype(np.float32)
    heat = _resized(heat, *photo.shape[:2])
    laid = colours * 0.45 + _coloured((heat * 255).astype(np.uint8)).astype(np.float32) * 0.55
    return _png(np.concatenate([colours, laid], axis=1).astype(np.uint8))


def _resized(heat: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(heat).resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)


def _convolutions(model: keras.Model) -> list[keras.layers.Layer]:
    """In the order of the network."""
    kinds = keras.layers.Conv2D, keras.layers.SeparableConv2D
    found = [layer for layer in model.layers if isinstance(layer, kinds)]
    if not found:
        raise ExplanationError("The network has no convolutions: there are no filters to show.")
    return found


def _call(model: keras.Model, photos: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """A model's outputs for photos, as arrays."""
    outputs = model(photos.astype("float32"), training=False)
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    return [np.asarray(keras.ops.convert_to_numpy(output), dtype=np.float32) for output in outputs]


def _gradient(head: keras.Model, maps: NDArray[np.float32], labels: Sequence[int]) -> NDArray[np.float32]:
    """Of each photo's logit of its label by its feature maps. Keras leaves gradients to the backend that it runs on."""
    mask = keras.ops.convert_to_tensor(np.eye(head.output.shape[-1], dtype=np.float32)[list(labels)])

    def score(values: Any) -> Any:
        return keras.ops.sum(head(values, training=False) * mask)

    match keras.backend.backend():
        case "jax":
            import jax

            return np.asarray(jax.grad(score)(maps), dtype=np.float32)
        case "torch":
            tensor = keras.ops.convert_to_tensor(maps).requires_grad_()
            score(tensor).backward()
            return np.asarray(tensor.grad.cpu(), dtype=np.float32)
        case _:
            import tensorflow

            values = tensorflow.Variable(maps)
            with tensorflow.GradientTape() as tape:
                total = score(values)
            return np.asarray(tape.gradient(total, values), dtype=np.float32)


def _stretched(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """To the full range of a picture."""
    low, high = float(values.min()), float(values.max())
    return ((values - low) / ((high - low) or 1) * 255).astype(np.uint8)


def _coloured(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gray levels in viridis, which reads the same for the colour-blind and in print: shape (height, width, 3)."""
    from matplotlib import colormaps

    return np.asarray(colormaps["viridis"](gray)[..., :3] * 255, dtype=np.uint8)


def _grid(tiles: list[NDArray[np.uint8]], columns: int = 16) -> bytes:
    """Tiles of shape (height, width, 1 or 3) in rows, each pixel kept a square."""
    shown = [
        Image.fromarray(tile.squeeze(-1) if tile.shape[-1] == 1 else tile)
        .convert("RGB")
        .resize((_TILE, _TILE), Image.Resampling.NEAREST)
        for tile in tiles
    ]
    return _png(np.asarray(sheet.grid(shown, min(columns, len(shown)), gap=_GAP, background=None)))


def _png(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return file.getvalue()
