"""Makes a graph of a parsed configuration, by calling its layers on each other as Keras would."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from foodscene.models.graph.configuration import Call, Entry, Network, Reference, constant
from foodscene.models.graph.dialects import Step, translate
from foodscene.models.graph.graph import Array, Graph, Layer, ModelRefused, Node, Shape, in_words, ordered
from foodscene.models.graph.layers import LAYERS
from foodscene.models.graph.layers.kind import LayerKind
from foodscene.models.graph.operation_names import KERAS_ACTIVATIONS, KERAS_CLASSES, SYNONYMS, TENSORFLOW_FUNCTIONS
from foodscene.models.graph.operations import ARGUMENTS, OPERATIONS
from foodscene.models.graph.options import read_options
from foodscene.models.graph.weights import Leaf, Weights

Sides: TypeAlias = tuple[int, int]
"""Height and width."""
_MOST_VALUES = 2**27
"""Of one answer: 512 MB in float32, 40 times the largest of VGG16."""


def build(network: Network, weights: Weights | None, version: str, sides: Sides | None = None) -> Graph:
    """A graph of a parsed configuration, with its weights unless these are None. Raises `ModelRefused`."""
    builder = _Builder(version, sides)
    input_, output = builder.whole(network)
    nodes = tuple(ordered(output))
    if input_ not in nodes:
        raise ModelRefused("Its output does not depend on its input.")
    if weights:
        weights.fill(builder.listed(network))
    return Graph(input_, output, nodes, {node: builder.shapes[node] for node in nodes}, version)


@dataclass(frozen=True, slots=True)
class _Scope:
    """A network while it is called: on which inputs, and what its layers have answered so far."""

    network: Network
    path: tuple[str, ...]
    inputs: tuple[Node, ...]
    answers: dict[Reference, Node]


class _Builder:
    """Calls the layers of a network on each other, as Keras would, to make nodes instead of numbers."""

    def __init__(self, version: str, sides: Sides | None) -> None:
        self.sides = sides
        head = version.split(".", maxsplit=1)[0]
        self.major = int(head) if head.isdecimal() and len(head) < 3 else 3
        self.shapes: dict[Node, Shape] = {}
        self.leaves: dict[tuple[str, ...], Leaf] = {}
        self._layers: dict[tuple[str, ...], tuple[Layer, ...]] = {}

    def whole(self, network: Network) -> tuple[Node, Node]:
        """The input and the output of the outermost network."""
        if len(network.inputs) > 1 or len(network.outputs) > 1:
            raise ModelRefused(
                f"The model has {max(len(network.inputs), 1)} inputs and {max(len(network.outputs), 1)} outputs; "
                "a classifier takes one photo and gives one answer."
            )
        shape = self._input_shape(network)
        entry = network.entries[network.inputs[0].layer] if network.inputs else next(iter(network.entries.values()))
        name = entry.name if entry.class_name == "InputLayer" else "input"
        input_ = Node(Layer(name, "InputLayer", {"shape": shape}))
        self.shapes[input_] = shape
        return input_, self._network(network, (), (input_,))[0]

    def listed(self, network: Network, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
        """The layers that have been called, in the order of the file."""
        for entry in network.entries.values():
            here = (*path, entry.name)
            if entry.network:
                yield from self.listed(entry.network, here)
            elif here in self.leaves:
                yield self.leaves[here]

    def _input_shape(self, network: Network) -> Shape:
        given: Any = None
        first = network
        while True:
            entry = first.entries[first.inputs[0].layer] if first.inputs else next(iter(first.entries.values()), None)
            if entry is None:
                raise ModelRefused("it has no layers")
            given = entry.config.get("batch_shape") or entry.config.get("batch_input_shape") or given
            build_config = entry.config.get("build_config")
            if not given and isinstance(build_config, Mapping):
                given = build_config.get("input_shape")
            if given or entry.network is None:
                break
            first = entry.network
        given = given or network.given_shape
        if isinstance(given, list) and len(given) == 1 and isinstance(given[0], list):
            given = given[0]
        if not isinstance(given, list) or not 2 <= len(given) <= 5:
            raise ModelRefused("The model does not say the shape of its input. Build it before it is saved.")
        for size in given[1:]:
            if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 2**16):
                raise ModelRefused(f"The model's input has the shape {in_words(tuple(given))[:80]}.")
        if self.sides and len(given) == 4:
            return (None, given[1] or self.sides[0], given[2] or self.sides[1], given[3])
        return (None, *given[1:])

    def _network(self, network: Network, path: tuple[str, ...], inputs: tuple[Node, ...]) -> tuple[Node, ...]:
        if network.outputs:
            return self._functional(_Scope(network, path, inputs, {}))
        (node,) = inputs if len(inputs) == 1 else (None,)
        if node is None:
            raise ModelRefused(f"The model {network.name[:80]!r} is called on {len(inputs)} inputs; it takes one.")
        for entry in network.entries.values():
            if entry.class_name != "InputLayer":
                node = self._call(entry, (*path, entry.name), Call((node,), {}), {})[0]
        return (node,)

    def _functional(self, scope: _Scope) -> tuple[Node, ...]:
        network = scope.network
        if len(scope.inputs) != len(network.inputs):
            raise ModelRefused(
                f"The model {network.name[:80]!r} is called on {len(scope.inputs)} inputs; it takes "
                f"{len(network.inputs)}."
            )
        given = {end.layer: node for end, node in zip(network.inputs, scope.inputs, strict=True)}
        first = _first_calls(network)
        return tuple(self._answer(scope, given, first, end) for end in network.outputs)

    def _answer(self, scope: _Scope, given: dict[str, Node], first: dict[str, int], end: Reference) -> Node:
        """What a layer's call answers, after all that it depends on has been called. Without recursion."""
        pending, open_ = [end], set()
        while pending:
            reference = pending[-1]
            if reference in scope.answers:
                pending.pop()
                continue
            if reference.layer in given:
                scope.answers[reference] = given[reference.layer]
                continue
            entry = scope.network.entries[reference.layer]
            number = reference.call - first[reference.layer]
            if not 0 <= number < len(entry.calls):
                raise ModelRefused(f"The layer {entry.name[:80]!r} is never called, or its answer is asked too often.")
            call = entry.calls[number]
            missing = [needed for needed in call.references if needed not in scope.answers]
            if missing:
                if reference in open_:
                    raise ModelRefused(f"The layer {entry.name[:80]!r} depends on its own answer.")
                open_.add(reference)
                pending += missing
                continue
            answers = self._call(entry, (*scope.path, entry.name), call, scope.answers)
            if reference.output >= len(answers):
                raise ModelRefused(f"The layer {entry.name[:80]!r} has {len(answers)} answers, not more.")
            scope.answers[reference] = answers[reference.output]
        return scope.answers[end]

    def _call(
        self, entry: Entry, path: tuple[str, ...], call: Call, answers: Mapping[Reference, Node]
    ) -> tuple[Node, ...]:
        try:
            if call.named.get("training") is True and self.major < 3:  # Keras 3 writes it, and does not heed it
                raise ModelRefused("it is called as in training, so that its answers are drawn by chance")
            positional, named = _resolved(call.positional, answers), _resolved(call.named, answers)
            if entry.network is not None:
                inputs = tuple(item for item in _flat(positional) if isinstance(item, Node))
                return self._network(entry.network, path, inputs)
            if entry.operation:
                return (self._operation(entry, positional, named),)
            return (self._layer(entry, path, positional, named),)
        except ModelRefused as error:
            text = str(error)
            if text[:1].isupper():  # says itself which layer it means
                raise
            raise ModelRefused(f"The layer {entry.name[:80]!r} ({entry.class_name[:40]}): {text}.") from None

    def _layer(self, entry: Entry, path: tuple[str, ...], positional: list[Any], named: dict[str, Any]) -> Node:
        inputs = [item for item in _flat(positional) if isinstance(item, Node)]
        for name, value in named.items():
            if name in ("query", "value", "key", "inputs") and value is not None:
                inputs += [item for item in _flat([value]) if isinstance(item, Node)]
            elif name != "training" and not (value is None or value is False):
                raise ModelRefused(f"it is called with {name[:40]!r}, which foodscene does not know")
        if path not in self._layers:
            self._layers[path] = self._made(entry, path, tuple(self.shapes[node] for node in inputs))
        first, *after = self._layers[path]
        node = self._node(first, tuple(inputs), LAYERS[first.kind])
        for layer in after:
            node = self._node(layer, (node,), LAYERS[layer.kind])
        return node

    def _made(self, entry: Entry, path: tuple[str, ...], shapes: tuple[Shape, ...]) -> tuple[Layer, ...]:
        """The layer, and what its activation needs; its weights are still to be filled in."""
        class_name, config = entry.class_name, entry.config
        if class_name == "SpectralNormalization":  # has done its work when training ends
            inner = config.get("layer")
            if not isinstance(inner, Mapping) or not isinstance(inner.get("config"), Mapping):
                raise ModelRefused("it has no layer")
            class_name, config = str(inner.get("class_name")), inner["config"]
        steps: tuple[Step, ...] = translate(class_name, config, self.major)
        name = "_".join(path)
        layers = [Layer(name, steps[0].kind, steps[0].options, {})]
        layers += [Layer(f"{name}_{step.kind.lower()}", step.kind, step.options, {}) for step in steps[1:]]
        kind = LAYERS[steps[0].kind]
        _check_count(kind, len(shapes))
        trainable = config.get("trainable", True) is not False
        self.leaves[path] = Leaf(path, entry.class_name, layers[0], kind.weights(steps[0].options, shapes), trainable)
        return tuple(layers)

    def _operation(self, entry: Entry, positional: list[Any], named: dict[str, Any]) -> Node:
        name = _operation_name(entry)
        arguments = ARGUMENTS.get(name, ("x",))
        given: dict[str, Any] = {}
        if len(positional) > len(arguments):
            raise ModelRefused(f"it is called with {len(positional)} arguments, which are too many")
        config = {key: value for key, value in entry.config.items() if key not in ("function", "trainable")}
        allowed = {*arguments, *_SAYS_NOTHING, *_EXTRAS.get(name, ())}
        for told, value in [*zip(arguments, positional, strict=False), *config.items(), *named.items()]:
            key = told if told in allowed else SYNONYMS.get(told, told)
            if key not in allowed and not (value is None or value is False):
                raise ModelRefused(f"it is called with {key[:40]!r}, which foodscene does not know")
            given[key] = value
        if name == "getitem" and "index" not in given:
            raise ModelRefused("it has no index")
        layer = _operation_layer(entry, name, given)
        kind = OPERATIONS.get(layer.kind) or LAYERS[layer.kind]
        names = [argument for argument in arguments if argument not in kind.options]
        inputs: list[Node | Array] = []
        for argument in names:
            if given.get(argument) is None:
                raise ModelRefused(f"its argument {argument!r} is missing")
            value = given[argument]
            items = value if name in ("concatenate", "stack") and isinstance(value, list) else [value]
            inputs += [item if isinstance(item, Node) else constant(item) for item in items]
        return self._node(layer, tuple(inputs), kind)

    def _node(self, layer: Layer, inputs: tuple[Node | Array, ...], kind: LayerKind) -> Node:
        _check_count(kind, len(inputs))
        if not any(isinstance(item, Node) for item in inputs):
            raise ModelRefused("it is called on no layer's answer")
        shapes = tuple(self.shapes[item] if isinstance(item, Node) else tuple(item.shape) for item in inputs)
        shape = kind.shape(layer.options, shapes)
        size = 1
        for side in shape[1:]:
            size *= side or 1
        if size > _MOST_VALUES:
            raise ModelRefused(f"its answer has the shape {in_words(shape)}, more than {_MOST_VALUES:,} values")
        node = Node(layer, inputs)
        self.shapes[node] = shape
        return node


_SAYS_NOTHING = frozenset({"name", "dtype", "output_type", "data_format", "training"})
_EXTRAS = {"softmax": ("axis",), "leaky_relu": ("negative_slope", "alpha"), "gelu": ("approximate",), "elu": ("alpha",)}


def _first_calls(network: Network) -> dict[str, int]:
    """The number of each layer's first call; Keras 2 counts the making of a nested model as its call 0."""
    most: dict[str, int] = dict.fromkeys(network.entries, 0)
    ends = [reference for entry in network.entries.values() for call in entry.calls for reference in call.references]
    for reference in [*ends, *network.outputs]:
        most[reference.layer] = max(most[reference.layer], reference.call)
    return {
        name: 1 if entry.network and most[name] == len(entry.calls) else 0 for name, entry in network.entries.items()
    }


def _operation_name(entry: Entry) -> str:
    if entry.class_name == "SlicingOpLambda":
        return "getitem"
    if entry.class_name == "TFOpLambda":
        function = entry.config.get("function")
        if not isinstance(function, str) or function not in TENSORFLOW_FUNCTIONS:
            raise ModelRefused(f"it applies the function {str(function)[:60]!r}, which foodscene does not know")
        return TENSORFLOW_FUNCTIONS[function]
    name = KERAS_CLASSES.get(entry.class_name) or KERAS_ACTIVATIONS.get(entry.class_name)
    if name is None:
        raise ModelRefused(f"foodscene does not know the operation {entry.class_name[:60]!r}")
    return name


def _operation_layer(entry: Entry, name: str, given: Mapping[str, Any]) -> Layer:
    """An operation, or the layer that does the same."""
    if name == "identity":
        return Layer(entry.name, "Identity")
    if name in OPERATIONS:
        return Layer(entry.name, name, read_options(OPERATIONS[name].options, given))
    if name == "softmax":
        return Layer(entry.name, "Softmax", read_options(LAYERS["Softmax"].options, {"axis": given.get("axis", -1)}))
    if name == "elu":
        return Layer(entry.name, "ELU", read_options(LAYERS["ELU"].options, {"alpha": given.get("alpha", 1.0)}))
    if name == "leaky_relu":
        slope = given.get("negative_slope", given.get("alpha", 0.2))
        return Layer(entry.name, "LeakyReLU", read_options(LAYERS["LeakyReLU"].options, {"negative_slope": slope}))
    if name == "gelu" and given.get("approximate", entry.class_name == "Gelu"):
        raise ModelRefused("it is an approximate GELU, which foodscene does not know")
    return Layer(entry.name, "Activation", {"activation": name})


def _check_count(kind: LayerKind, count: int) -> None:
    fewest, most = kind.inputs
    if not fewest <= count <= most:
        raise ModelRefused(f"it is called on {count} inputs, not {fewest if fewest == most else f'{fewest} or more'}")


def _resolved(value: Any, answers: Mapping[Reference, Node]) -> Any:
    """Arguments with the answers in the place of the references to them."""
    if isinstance(value, Reference):
        return answers[value]
    if isinstance(value, list | tuple):
        return [_resolved(item, answers) for item in value]
    if isinstance(value, Mapping):
        return {name: _resolved(item, answers) for name, item in value.items()}
    return value


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield value
