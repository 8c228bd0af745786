"""Layers that cut, widen or resize an image."""

from collections.abc import Sequence
from typing import Any

from foodscene.models.graph.graph import Layer, ModelRefused, Shape
from foodscene.models.graph.layers.kind import spatial
from foodscene.models.graph.lowering.tensors import Emitter, Lowering, Tensor, place, static
from foodscene.models.graph.lowering.windows import order_for


def _zero_padding(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor, border = inputs[0], layer.options["padding"]
    if layer.options["data_format"] == "channels_first":
        return Tensor(shape, {"keras": emitter.pad(emitter.get(tensor, "keras"), border, "first")})
    order = emitter.order_of(tensor)
    return Tensor(shape, {order: emitter.pad(emitter.get(tensor, order), border, order)})


def cut(emitter: Emitter, tensor: Tensor, axes: Sequence[int], starts: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """A part of a tensor along some of Keras' axes."""
    order = emitter.order_of(tensor)
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    places = [place(axis, tensor.rank, order) for axis in axes]
    name = emitter.node(
        "Slice",
        [emitter.get(tensor, order), emitter.integers(starts), emitter.integers(ends), emitter.integers(places)],
    )
    shape = list(tensor.shape)
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    return Tensor(tuple(shape), {order: name})


def _cropping(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    axes = spatial(layer.options, inputs[0].rank)
    starts = [before for before, _ in layer.options["cropping"]]
    return cut(emitter, inputs[0], axes, starts, [static(shape)[axis - 1] for axis in axes])


def _center_crop(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor, options = inputs[0], layer.options
    axes = spatial(options, 4)
    given = [static(tensor.shape)[axis - 1] for axis in axes]
    wanted = [options["height"], options["width"]]
    if all(has >= needs for has, needs in zip(given, wanted, strict=True)):
        return cut(
            emitter, tensor, axes, [(has - needs) // 2 for has, needs in zip(given, wanted, strict=True)], wanted
        )
    return _resized(emitter, _of_aspect(emitter, tensor, layer), layer, shape, "bilinear")


def _of_aspect(emitter: Emitter, tensor: Tensor, layer: Layer) -> Tensor:
    """The largest part in the middle that has the aspect ratio of what a layer makes (keras.utils' smart_resize)."""
    axes = spatial(layer.options, 4)
    height, width = (static(tensor.shape)[axis - 1] for axis in axes)
    target_height, target_width = layer.options["height"], layer.options["width"]
    part = [
        min(height, int(float(width * target_height) / target_width)),
        min(width, int(float(height * target_width) / target_height)),
    ]
    if part == [height, width]:
        return tensor
    if min(part) < 1:
        raise ModelRefused("nothing is left of its input")
    starts = [int(float(height - part[0]) / 2), int(float(width - part[1]) / 2)]
    return cut(emitter, tensor, axes, starts, part)


def _resizing(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor = _of_aspect(emitter, inputs[0], layer) if layer.options["crop_to_aspect_ratio"] else inputs[0]
    return _resized(emitter, tensor, layer, shape, layer.options["interpolation"])


def _upsampling(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    return _resized(emitter, inputs[0], layer, shape, layer.options.get("interpolation", "nearest"))


def _resized(emitter: Emitter, tensor: Tensor, layer: Layer, shape: Shape, how: str) -> Tensor:
    """Interpolated as TensorFlow does: pixels have their centres at one half."""
    order = order_for(layer)
    sizes = [static(shape)[axis - 1] for axis in spatial(layer.options, len(shape))]
    attributes: dict[str, Any] = {"bilinear": {"mode": "linear"}, "nearest": {"mode": "nearest"}}.get(how, {})
    if how == "nearest":
        attributes["nearest_mode"] = "round_prefer_ceil"
    if how == "bicubic":
        attributes = {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}
    given = emitter.get(tensor, order)
    # Not by the attribute `axes`, which ONNX Runtime 1.31 loses where it moves transposes.
    whole = emitter.node("Concat", [emitter.node("Shape", [given], start=0, end=2), emitter.integers(sizes)], axis=0)
    name = emitter.node(
        "Resize",
        [given, "", "", whole],
        coordinate_transformation_mode="half_pixel",
        **attributes,
    )
    return Tensor(shape, {order: name})


IMAGES: dict[str, Lowering] = {
    "CenterCrop": _center_crop,
    "Cropping1D": _cropping,
    "Cropping2D": _cropping,
    "Resizing": _resizing,
    "UpSampling1D": _upsampling,
    "UpSampling2D": _upsampling,
    "ZeroPadding1D": _zero_padding,
    "ZeroPadding2D": _zero_padding,
}
