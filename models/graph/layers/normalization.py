"""What shifts and scales: normalizations, rescaling."""

from foodscene.models.graph.graph import ModelRefused, Shape
from foodscene.models.graph.layers.kind import (
    EPSILON,
    LayerKind,
    Options,
    WeightShapes,
    known,
    on_axes,
    on_axis,
    position,
    same_shape,
)
from foodscene.models.graph.options import Option, axes, axis, flag, integer, number, numbers, optional

_CENTER_SCALE = {"center": Option(flag, True), "scale": Option(flag, True)}


def _batch_norm_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    size = (known(shapes[0][position(options["axis"], len(shapes[0]))], "number of channels"),)
    names = ("gamma",) * options["scale"] + ("beta",) * options["center"] + ("moving_mean", "moving_variance")
    return dict.fromkeys(names, size)


def _norm_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    places = sorted(position(index, len(shapes[0])) for index in options["axis"])
    size = tuple(known(shapes[0][place], "size") for place in places)
    return dict.fromkeys(("gamma",) * options["scale"] + ("beta",) * options["center"], size)


def _layer_norm_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    if options["rms_scaling"]:
        raise ModelRefused("its option rms_scaling is set, which foodscene does not know")
    return _norm_weights(options, shapes)


def _group_norm_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    channels = known(shapes[0][position(options["axis"], len(shapes[0]))], "number of channels")
    groups = channels if options["groups"] == -1 else options["groups"]
    if channels % groups:
        raise ModelRefused(f"its {channels} channels do not divide into {groups} groups")
    return dict.fromkeys(("gamma",) * options["scale"] + ("beta",) * options["center"], (channels,))


def _rms_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    places = sorted(position(index, len(shapes[0])) for index in options["axis"])
    return {"scale": tuple(known(shapes[0][place], "size") for place in places)}


def _normalization_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    if options["mean"] is not None or options["variance"] is not None:
        if options["mean"] is None or options["variance"] is None:
            raise ModelRefused("it has a mean without a variance, or a variance without a mean")
        return {}
    places = sorted(position(index, len(shapes[0])) for index in options["axis"] or ())
    size = tuple(known(shapes[0][place], "size") for place in places)
    return {"mean": size, "variance": size, "count": ()}


_AXES = Option(axes, (-1,))


NORMALIZATIONS: dict[str, LayerKind] = {
    "BatchNormalization": LayerKind(
        {"axis": Option(axis, -1), "epsilon": EPSILON, **_CENTER_SCALE}, on_axis, _batch_norm_weights
    ),
    "GroupNormalization": LayerKind(
        {
            "groups": Option(lambda value: -1 if value == -1 else integer(value), 32),
            "axis": Option(axis, -1),
            "epsilon": EPSILON,
            **_CENTER_SCALE,
        },
        on_axis,
        _group_norm_weights,
    ),
    "LayerNormalization": LayerKind(
        {"axis": _AXES, "epsilon": EPSILON, **_CENTER_SCALE, "rms_scaling": Option(flag, False)},
        on_axes,
        _layer_norm_weights,
    ),
    "LayerScale": LayerKind(
        {"init_values": Option(number, 1e-6), "projection_dim": Option(integer)},
        same_shape,
        lambda options, _shapes: {"gamma": (options["projection_dim"],)},
    ),
    "Normalization": LayerKind(
        {
            "axis": Option(optional(axes), (-1,)),
            "mean": Option(optional(numbers), None),
            "variance": Option(optional(numbers), None),
            "invert": Option(flag, False),
        },
        same_shape,
        _normalization_weights,
    ),
    "RMSNormalization": LayerKind({"axis": _AXES, "epsilon": Option(number, 1e-6)}, on_axes, _rms_weights),
    "Rescaling": LayerKind({"scale": Option(numbers), "offset": Option(numbers, 0.0)}, same_shape),
    "UnitNormalization": LayerKind({"axis": _AXES}, on_axes),
}
