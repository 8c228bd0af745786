"""What an exported model takes and answers with, however its exporter arranged it."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from foodscene.models.exported import reader
from foodscene.models.exported.reader import Exported
from foodscene.models.graph.graph import ModelRefused
from tests.models.exported.files import DENSE, FLATTEN, NETWORK, POOL, model

MEAN = helper.make_node("ReduceMean", ["x"], ["f"], axes=[1, 2], keepdims=0)


def read(*arguments: object, sides: tuple[int, int] = (16, 16), **more: object) -> Exported:
    return reader.sized(reader.read(model(*arguments, **more).SerializeToString()), *sides)  # type: ignore[arg-type]


def test_channels_come_first_as_in_onnx() -> None:
    found = read()
    assert (found.channels_first, found.batch, found.dtype) == (True, None, "float32")
    assert (found.input_shape, found.output_shape) == ((None, 16, 16, 3), (None, 3))


@pytest.mark.parametrize(
    ("shape", "first"),
    [
        (("n", 16, 16, 3), False),
        (("n", "height", "width", "channels"), False),
        ((None, None, None, 3), False),
        (("n", "channels", "height", "width"), True),
        ((None, 3, None, None), True),
        ((None,) * 4, True),
    ],
)
def test_the_order_of_axes_is_found_by_their_sizes_and_names(shape: tuple[int | str | None, ...], first: bool) -> None:
    found = read(NETWORK if first else [MEAN, DENSE], shape)
    assert (found.channels_first, found.input_shape) == (first, (None, 16, 16, 3))


def test_a_transposition_at_the_start_tells_the_order_of_axes() -> None:
    turned = helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2])
    pool = helper.make_node("GlobalAveragePool", ["t"], ["p"])
    assert not read([turned, pool, FLATTEN, DENSE], (None,) * 4).channels_first


def test_the_first_convolution_tells_how_many_channels_there_are() -> None:
    kernel = numpy_helper.from_array(np.ones((3, 1, 1, 1), np.float32), "k")
    nodes = [helper.make_node("Conv", ["x", "k"], ["c"]), helper.make_node("GlobalAveragePool", ["c"], ["p"])]
    assert read([*nodes, FLATTEN, DENSE], (None,) * 4, weights=[kernel]).input_shape == (None, 16, 16, 1)


def test_a_batch_that_is_fixed_is_kept_to() -> None:
    assert read(shape=(4, 3, 16, 16)).batch == 4


def test_a_batch_that_is_fixed_within_the_graph_is_found() -> None:
    one = numpy_helper.from_array(np.array([1, 3]), "one")
    shaped = helper.make_node("Reshape", ["p", "one"], ["f"])
    assert read([POOL, shaped, DENSE], weights=[one]).batch == 1


def test_shapes_that_a_graph_computes_of_its_input_are_known() -> None:
    """As PyTorch exports `x.reshape(x.shape[0] // 1, -1)`: with arithmetic on shapes."""
    weights = [
        numpy_helper.from_array(np.array(value), name) for name, value in (("zero", 0), ("one", 1), ("rest", [-1]))
    ]
    weights.append(numpy_helper.from_array(np.array([0]), "axis"))
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"], axis=0),
        helper.make_node("Div", ["n", "one"], ["m"]),
        helper.make_node("Unsqueeze", ["m", "axis"], ["ms"]),
        helper.make_node("Concat", ["ms", "rest"], ["size"], axis=0),
        helper.make_node("Reshape", ["p", "size"], ["f"]),
    ]
    found = read([POOL, *nodes, DENSE], ("n", "c", "h", "w"), weights=weights)
    assert (found.batch, found.output_shape) == (None, (None, 3))


@pytest.mark.parametrize(
    ("last", "activation"),
    [
        ([], "linear"),
        ([helper.make_node("Softmax", ["y"], ["z"], axis=1)], "softmax"),
        ([helper.make_node("LogSoftmax", ["y"], ["z"], axis=1)], "linear"),
        ([helper.make_node("Sigmoid", ["y"], ["z"])], "sigmoid"),
        ([helper.make_node("Sigmoid", ["y"], ["s"]), helper.make_node("Identity", ["s"], ["z"])], "sigmoid"),
        ([helper.make_node("Relu", ["y"], ["z"])], "relu"),
        (
            [
                helper.make_node("Exp", ["y"], ["e"]),
                helper.make_node("ReduceMean", ["e"], ["m"], axes=[1]),
                helper.make_node("Div", ["e", "m"], ["z"]),
            ],
            "softmax",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_last_activation_is_found(last: list[object], activation: str) -> None:
    assert read([*NETWORK, *last], outputs=["z" if last else "y"]).activation == activation


def test_of_several_answers_the_one_called_so_counts() -> None:
    other = helper.make_node("Identity", ["y"], ["logits"])
    assert read([*NETWORK, other], outputs=["f", "logits"]).output == "logits"
    with pytest.raises(ModelRefused, match=r"gives 2 answers \('f', 'y'\)"):
        read([*NETWORK, other], outputs=["f", "y"])


def test_an_answer_of_a_convolution_is_flat() -> None:
    assert read([POOL], outputs=["p"]).output_shape == (None, 3)


def test_arithmetic_at_the_start_scales() -> None:
    half = numpy_helper.from_array(np.float32(0.5), "half")
    scaled = [helper.make_node("Mul", ["x", "half"], ["s"]), helper.make_node("GlobalAveragePool", ["s"], ["p"])]
    assert read([*scaled, FLATTEN, DENSE], weights=[half]).scales
    assert not read().scales


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"shape": ("n", 3, 16)}, "takes an input of the shape any x 3 x 16; photos have four sizes"),
        ({"shape": None}, "takes an input of no known shape"),
        ({"kind": TensorProto.INT64, "kernel": np.eye(3, dtype=np.int64)}, "values of the type INT64"),
        ({"kernel": np.eye(4, dtype=np.float32)}, "contradicts itself at 'Gemm'"),
    ],
)
def test_what_takes_no_photos_is_refused(more: dict[str, object], said: str) -> None:
    with pytest.raises(ModelRefused, match=said):
        read(**more)


def test_two_inputs_are_refused() -> None:
    made = model()
    made.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, (1,)))
    with pytest.raises(ModelRefused, match=r"takes 2 inputs \('x', 'other'\)"):
        reader.read(made.SerializeToString())
