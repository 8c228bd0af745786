"""What the tests of the graph share: whether it answers as Keras does."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from foodscene.models.graph.compiler import compile_graph
from foodscene.models.graph.graph import Graph


def drawn(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with weights of all kinds: variances that are not 1, means and biases that are not 0."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        shape, name = variable.shape, variable.path.rsplit("/", 1)[-1]
        if "variance" in name:
            values = generator.uniform(0.5, 2, shape)
        elif name in ("gamma", "scale"):
            values = generator.uniform(0.5, 1.5, shape)
        elif name == "count" or "seed" in name:
            continue
        else:
            spread = 1 / np.sqrt(max(np.prod(shape[:-1]), 1)) if len(shape) > 1 else 0.3
            values = generator.normal(0, spread, shape)
        variable.assign(values.astype(variable.dtype))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return model


def photos(shape: tuple[int | None, ...], seed: int = 1, count: int = 3) -> NDArray[np.float32]:
    """Values around 0 of a model's input shape."""
    sizes = [size or 12 for size in shape[1:]]
    return np.random.default_rng(seed).normal(0, 1, (count, *sizes)).astype(np.float32)


def answer(graph: Graph, given: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ONNX Runtime makes of the compiled graph."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(compile_graph(graph).SerializeToString(), options)
    return np.asarray(session.run(["output"], {"pixels": given})[0])


def saved(model: keras.Model, path: Path) -> Path:
    """The model in a file, without its optimizer."""
    model.save(path, **({"include_optimizer": False} if path.suffix == ".h5" else {}))
    return path


def assert_agrees(graph: Graph, model: Any, given: NDArray[np.float32], tolerance: float = 1e-4) -> None:
    """The compiled graph and Keras answer the same, relative to the size of the answer."""
    expected = np.asarray(model(given, training=False))
    assert_close(answer(graph, given), expected, tolerance)


def assert_close(got: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float = 1e-4) -> None:
    """Two answers are the same, relative to the largest value."""
    assert got.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(got / scale, expected / scale, atol=tolerance, rtol=0)
