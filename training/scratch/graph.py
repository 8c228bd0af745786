"""A network as a graph of Keras' layers: what `models.graph` writes to an `.h5` and compiles."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from foodscene.models.graph.graph import Graph, Node
from foodscene.models.graph.graph import Layer as GraphLayer
from foodscene.models.graph.graph import Shape as GraphShape
from foodscene.models.graph.layers import LAYERS
from foodscene.models.graph.options import read_options
from foodscene.training.scratch.activations import ReLU, Sigmoid, Softmax, Tanh
from foodscene.training.scratch.convolution import Convolution
from foodscene.training.scratch.dense import Dense, Dropout, Flatten, Rescaling
from foodscene.training.scratch.layer import Array, Layer
from foodscene.training.scratch.network import Network
from foodscene.training.scratch.normalization import BatchNorm
from foodscene.training.scratch.pooling import AveragePooling, GlobalAveragePooling, MaxPooling


class Described(NamedTuple):
    """A layer of Keras that computes what one of ours does."""

    kind: str
    """The name of Keras' class."""
    options: dict[str, Any]
    """What its constructor takes; a JSON object."""
    weights: list[Array]
    """In the order of the Keras layer's own, which are of the same shapes; copies."""


def graph(network: Network, temperature: float = 1.0) -> Graph:
    """The network with its weights, its logits divided by `temperature` as `training.networks.temperature` does it.

    Input: pixels of shape (n, *network.shape). Output: probabilities, shape (n, *network.outputs), whatever the
    network's last activation is. Raises a ValueError where Keras has no such layer.
    """
    layers = list(described(network))
    if layers[-1].options.get("activation") == "softmax":
        layers.pop()
    named = [(f"{layer.kind.lower()}_{number}", layer) for number, layer in enumerate(layers, start=1)]
    named.append(("temperature", Described("Rescaling", {"scale": 1 / temperature}, [])))
    named.append(("probabilities", Described("Softmax", {}, [])))
    shape: GraphShape = (None, *network.shape)
    first = node = Node(GraphLayer("pixels", "InputLayer", {"shape": shape}))
    shapes = {node: shape}
    for name, (kind, said, weights) in named:
        known = LAYERS[kind]
        options = read_options(known.options, said)
        names = known.weights(options, (shapes[node],))
        layer = GraphLayer(name, kind, options, dict(zip(names, weights, strict=True)))
        shape = known.shape(options, (shapes[node],))
        node = Node(layer, (node,))
        shapes[node] = shape
    return Graph(first, node, tuple(shapes), shapes)


def described(network: Network) -> Iterator[Described]:
    """The layers of a network, first to last. Raises a ValueError where Keras has no such layer."""
    for layer in network.layers:
        kind, options = _keras(layer)
        yield Described(kind, options, [weight.copy() for weight in layer.weights])


def _keras(layer: Layer) -> tuple[str, dict[str, Any]]:  # noqa: PLR0911 - a line for each kind of layer
    match layer:
        case Rescaling():
            return "Rescaling", {"scale": layer.scale.tolist(), "offset": layer.offset.tolist()}
        case Convolution():
            shape = {"filters": layer.filters, "kernel_size": [layer.kernel] * 2, "strides": [layer.stride] * 2}
            return "Conv2D", {**shape, "padding": layer.padding, "use_bias": layer.bias}
        case MaxPooling() | AveragePooling():
            name = "MaxPooling2D" if isinstance(layer, MaxPooling) else "AveragePooling2D"
            window, stride = [layer.window] * 2, [layer.stride] * 2
            return name, {"pool_size": window, "strides": stride, "padding": layer.padding}
        case GlobalAveragePooling():
            return "GlobalAveragePooling2D", {}
        case Flatten():
            return "Flatten", {}
        case Dropout():
            return "Dropout", {"rate": layer.rate}
        case BatchNorm():
            return "BatchNormalization", {"momentum": layer.momentum, "epsilon": layer.epsilon}
        case Dense():
            return "Dense", {"units": layer.units}
        case Sigmoid() | Tanh() | ReLU() | Softmax():
            return "Activation", {"activation": type(layer).__name__.lower()}
        case _:
            raise ValueError(f"Keras has no layer like {type(layer).__name__}: take another one.")
