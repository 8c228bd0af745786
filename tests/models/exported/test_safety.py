"""A `model.onnx` that reads files, loops, or grows without bound is refused by name before it is loaded."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto, helper, numpy_helper

from foodscene.models.bundle import SHIPPED, read_bundle
from foodscene.models.compiler import compiled
from foodscene.models.engine import open_engine
from foodscene.models.exported import reader
from foodscene.models.graph.graph import ModelRefused

pytestmark = pytest.mark.slow

SHAPE = (16, 16, 3)
MEAN = helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2], keepdims=0)
SOFTMAX = helper.make_node("Softmax", ["m"], ["y"], axis=1)


def graph(nodes: Sequence[NodeProto], weights: Sequence[TensorProto] = (), **more: object) -> onnx.ModelProto:
    """A model of photos of 16 x 16 in `x` that answers in `y`."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (None, *SHAPE))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    made = helper.make_graph(nodes, "graph", [x], [y], list(weights))
    domains = {node.domain for node in nodes} - {""}
    imports = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(made, opset_imports=imports, ir_version=9, **more)


def constant(name: str, values: object, kind: type = np.int64) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, kind), name)


def external(location: str, name: str = "e") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def checked(model: onnx.ModelProto) -> None:
    reader.sized(reader.read(model.SerializeToString()), *SHAPE[:2])


def test_what_we_compile_is_accepted(toy_bundle: Path) -> None:
    for folder in (toy_bundle / "colours", *(SHIPPED / name for name in ("everyday", "objects", "scenes-cnn"))):
        bundle = read_bundle(folder)
        reader.sized(reader.read(compiled(bundle)), bundle.spec.height, bundle.spec.width)
    checked(graph([MEAN, SOFTMAX]))


def in_a_weight(location: str) -> onnx.ModelProto:
    return graph([MEAN, helper.make_node("Add", ["m", "e"], ["y"])], [external(location)])


def in_a_constant(location: str) -> onnx.ModelProto:
    return graph([helper.make_node("Constant", [], ["e"], value=external(location)), MEAN, SOFTMAX])


def in_a_list_of_constants(location: str) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["e"])
    attribute = node.attribute.add(name="values", type=onnx.AttributeProto.TENSORS)
    attribute.tensors.append(external(location))
    return graph([node, MEAN, SOFTMAX])


def in_a_sparse_weight(location: str) -> onnx.ModelProto:
    model = graph([MEAN, SOFTMAX])
    model.graph.sparse_initializer.add(values=external(location), indices=constant("i", [0]), dims=[3])
    return model


@pytest.mark.parametrize("place", [in_a_weight, in_a_constant, in_a_list_of_constants, in_a_sparse_weight])
@pytest.mark.parametrize("location", ["/etc/passwd", "../secret", "secret", "*/_ORT_MEM_ADDR_/*"])
def test_weights_in_another_file_are_refused(place: Callable[[str], onnx.ModelProto], location: str) -> None:
    with pytest.raises(ModelRefused, match=r"outside the file, in .*" + location.strip("*/.")[:5]):
        checked(place(location))


def test_a_file_beside_a_model_is_not_even_looked_at(
    toy_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(np.array([9, 0, 0], np.float32).tobytes())
    folder = Path(shutil.copytree(toy_bundle / "colours", tmp_path / "evil"))
    expected = open_engine(read_bundle(folder)).predict(np.zeros((1, *SHAPE), np.uint8))
    nodes = [MEAN, helper.make_node("Add", ["m", "e"], ["s"]), helper.make_node("Softmax", ["s"], ["y"], axis=1)]
    (folder / "model.onnx").write_bytes(graph(nodes, [external("secret")]).SerializeToString())
    found = open_engine(read_bundle(folder)).predict(np.zeros((1, *SHAPE), np.uint8))
    np.testing.assert_array_equal(found, expected)


def branch(name: str) -> onnx.GraphProto:
    value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node("Identity", ["m"], [name])], name, [], [value])


@pytest.mark.parametrize(
    ("node", "named"),
    [
        (helper.make_node("If", ["c"], ["y"], then_branch=branch("a"), else_branch=branch("b")), "'If'"),
        (helper.make_node("Loop", ["", "c", "m"], ["y"], body=branch("a")), "'Loop'.*never end"),
        (helper.make_node("Scan", ["m"], ["y"], body=branch("a"), num_scan_inputs=1), "'Scan'.*never end"),
        (helper.make_node("Evil", ["m"], ["y"], domain="evil"), "'evil.Evil'"),
        (helper.make_node("EPContext", ["m"], ["y"], domain="com.microsoft"), "'com.microsoft.EPContext'"),
        (helper.make_node("Softmax", ["m"], ["y"], domain="evil"), "'evil.Softmax'"),
        (helper.make_node("SequenceMap", ["m"], ["y"], body=branch("a")), "'SequenceMap'"),
        (helper.make_node("NonZero", ["m"], ["y"]), "'NonZero'"),
        (helper.make_node("Softmax", ["m"], ["y"], body=branch("a")), "'Softmax' with a graph of its own"),
    ],
)
def test_loops_branches_and_custom_operators_are_refused_by_name(node: NodeProto, named: str) -> None:
    with pytest.raises(ModelRefused, match=named):
        checked(graph([MEAN, node], [constant("c", True, np.bool_)]))


def test_functions_of_its_own_are_refused() -> None:
    body = [helper.make_node("Softmax", ["a"], ["b"])]
    function = helper.make_function("", "Softmax", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    with pytest.raises(ModelRefused, match="functions of its own"):
        checked(graph([MEAN, SOFTMAX], functions=[function]))


# What is on the photo, as a whole number.
SEEN = [
    helper.make_node("ReduceMax", ["x"], ["seen"], axes=[1, 2, 3], keepdims=0),
    helper.make_node("Cast", ["seen"], ["n"], to=TensorProto.INT64),
]


@pytest.mark.parametrize(
    "grown",
    [
        [helper.make_node("ConstantOfShape", ["n"], ["z"])],
        [helper.make_node("Expand", ["x", "n"], ["z"])],
        [helper.make_node("Tile", ["x", "n"], ["z"])],
        [helper.make_node("Range", ["zero", "n", "one"], ["z"])],
        [helper.make_node("Resize", ["x", "", "seen"], ["z"])],
        [helper.make_node("Pad", ["x", "n"], ["z"])],
        [helper.make_node("OneHot", ["zero", "n", "pair"], ["z"])],
        # A slice of a size that the photo gives, whose shape then is a number from the photo.
        [
            helper.make_node("Slice", ["x", "zero", "n"], ["part"]),
            helper.make_node("Shape", ["part"], ["size"]),
            helper.make_node("ConstantOfShape", ["size"], ["z"]),
        ],
    ],
    ids=lambda nodes: nodes[0].op_type,
)
def test_sizes_that_a_photo_gives_are_refused(grown: list[NodeProto]) -> None:
    weights = [constant("zero", [0]), constant("one", 1), constant("pair", [0, 1])]
    with pytest.raises(ModelRefused, match=f"'{grown[0].op_type}', whose size would depend"):
        checked(graph([*SEEN, *grown, MEAN, SOFTMAX], weights))
    # Nor may a graph hide it by the order in which it names its operators.
    with pytest.raises(ModelRefused, match="out of order"):
        checked(graph([*grown, *SEEN, MEAN, SOFTMAX], weights))


def batch_to_the_power(power: int) -> list[NodeProto]:
    shape = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n1"]),
    ]
    grown = [helper.make_node("Concat", ["n1"] * power, ["size"], axis=0)]
    return [*shape, *grown, helper.make_node("ConstantOfShape", ["size"], ["z"])]


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([helper.make_node("ConstantOfShape", ["s"], ["z"])], [constant("s", [3_000_000_000])]),
        ([helper.make_node("ConstantOfShape", ["s"], ["z"])], [constant("s", [2**40])]),
        ([helper.make_node("Expand", ["x", "s"], ["z"])], [constant("s", [200_000, 1, 16, 16, 3])]),
        ([helper.make_node("Tile", ["x", "s"], ["z"])], [constant("s", [1, 9000, 9000, 1])]),
        (batch_to_the_power(6), [constant("zero", [0])]),  # one value for one photo
    ],
)
def test_sizes_without_measure_are_refused(nodes: list[NodeProto], weights: list[TensorProto]) -> None:
    with pytest.raises(ModelRefused, match=r"makes 'z' of [\d,]{11,} values"):
        checked(graph([*nodes, MEAN, SOFTMAX], weights))


def test_a_weight_that_announces_more_than_it_holds_is_refused() -> None:
    tensor = TensorProto(name="e", data_type=TensorProto.FLOAT, dims=[2**31, 2**31], raw_data=b"\0" * 12)
    with pytest.raises(ModelRefused, match="'e' of 4,611,686,018,427,387,904 values"):
        checked(graph([MEAN, SOFTMAX], [tensor]))


def test_endless_operators_are_refused() -> None:
    names = ["x", *(f"n{number}" for number in range(60_000))]
    chain = [helper.make_node("Identity", [one], [next_one]) for one, next_one in pairwise(names)]
    with pytest.raises(ModelRefused, match="60,002 operators"):
        checked(graph([*chain, MEAN, SOFTMAX]))


@pytest.mark.parametrize("content", [b"", b"junk", b"\x08" + b"\xff" * 40])
def test_what_is_no_onnx_is_refused(content: bytes) -> None:
    with pytest.raises(ModelRefused, match="no ONNX file"):
        reader.read(content)


def test_a_file_that_onnx_runtime_would_take_for_its_own_format_is_refused() -> None:
    """Bytes that are ONNX to a reader of it, and another network to ONNX Runtime."""
    with pytest.raises(ModelRefused, match="ONNX Runtime's own format"):
        reader.read(b"\x12\x04\x00\x00ORTM" + bytes(100))


@settings(max_examples=150, deadline=None)
@given(
    cut=st.sampled_from([0, 0, 0, 1, 7, 50, 300]),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
)
def test_a_damaged_file_is_refused_in_a_sentence_or_read(cut: int, flips: list[tuple[int, int]]) -> None:
    added = helper.make_node("Add", ["m", "e"], ["s"])
    content = bytearray(graph([MEAN, added, SOFTMAX], [constant("e", [1.0], np.float32)]).SerializeToString())
    for place, value in flips:
        content[place % len(content)] = value
    with suppress(ModelRefused):  # and nothing else
        reader.sized(reader.read(bytes(content[: max(len(content) - cut, 0)])), *SHAPE[:2])
