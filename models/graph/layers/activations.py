"""Layers that are activations."""

from foodscene.models.graph.graph import Shape
from foodscene.models.graph.layers.kind import LayerKind, Options, WeightShapes, known, on_axes, position, same_shape
from foodscene.models.graph.options import Option, activation, axes, number, optional


def _prelu_weights(options: Options, shapes: tuple[Shape, ...]) -> WeightShapes:
    shared = {position(index, len(shapes[0])) for index in options["shared_axes"] or ()}
    size = [1 if place in shared else known(side, "size") for place, side in enumerate(shapes[0][1:], start=1)]
    return {"alpha": tuple(size)}


_AXES = Option(axes, (-1,))


ACTIVATION_LAYERS: dict[str, LayerKind] = {
    "Activation": LayerKind({"activation": Option(activation)}, same_shape),
    "ELU": LayerKind({"alpha": Option(number, 1.0)}, same_shape),
    "LeakyReLU": LayerKind({"negative_slope": Option(number, 0.3)}, same_shape),
    "PReLU": LayerKind({"shared_axes": Option(optional(axes), None)}, same_shape, _prelu_weights),
    "ReLU": LayerKind(
        {
            "max_value": Option(optional(number), None),
            "negative_slope": Option(lambda value: number(value or 0), 0.0),
            "threshold": Option(lambda value: number(value or 0), 0.0),
        },
        same_shape,
    ),
    "Softmax": LayerKind({"axis": _AXES}, on_axes),
}
