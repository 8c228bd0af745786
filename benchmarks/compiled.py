"""Load time and speed of what foodscene compiles an `.h5` to, beside what tf2onnx makes of it.

    python -m benchmarks.compiled               # the shipped bundles, MobileNetV2 and VGG16 with drawn weights
    python -m benchmarks.compiled --only MobileNetV2 --rounds 3

Both run on one thread of ONNX Runtime, in turns, photo by photo; a ratio is of the median times. Loading ours is to
read the file, compile it and open the session; loading theirs is to open the session alone.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.needs import need

TO_REACH = 1.02
"""Of tf2onnx's time for a photo."""


def main(
    only: Annotated[str, typer.Option(help="One of the networks.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 9,
    photos: Annotated[int, typer.Option(min=1, help="Of each turn.")] = 20,
) -> None:
    need("keras", "tf2onnx")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from foodscene.models.bundle import SHIPPED

    networks: dict[str, Any] = {
        name: lambda name=name: keras.models.load_model(SHIPPED / name / "model.h5", compile=False)
        for name in ("everyday", "scenes-cnn")
    }
    for family, side in (("MobileNetV2", 224), ("VGG16", 128)):
        networks[family] = lambda family=family, side=side: getattr(keras.applications, family)(
            weights=None, input_shape=(side, side, 3), include_top=False, pooling="avg"
        )
    print(f"{'':12} {'load':>9} {'tf2onnx':>9}   {'a photo':>9} {'tf2onnx':>9}   ratio (to stay below {TO_REACH})")
    for name, network in networks.items():
        if only in ("", name):
            print(f"{name:12} {compared(network(), rounds, photos)}", flush=True)
    print(f"({os.cpu_count()} cores, one of them used)")


def compared(model: Any, rounds: int, photos: int) -> str:
    """A line of the table."""
    from foodscene.models.graph.compiler import compile_graph
    from foodscene.models.graph.reader import read

    with tempfile.TemporaryDirectory() as folder:
        source, theirs = Path(folder) / "model.h5", Path(folder) / "model.onnx"
        model.save(source, include_optimizer=False)
        photo = np.random.default_rng(0).uniform(0, 255, (1, *model.input_shape[1:])).astype(np.float32)
        expected = np.asarray(model(photo))
        model.export(theirs, format="onnx", verbose=False)
        began = time.perf_counter()
        sessions = {"ours": opened(compile_graph(read(source)).SerializeToString())}
        loaded = {"ours": time.perf_counter() - began}
        began = time.perf_counter()
        sessions["theirs"] = opened(theirs.read_bytes())
        loaded["theirs"] = time.perf_counter() - began
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            given = {session.get_inputs()[0].name: photo}
            np.testing.assert_allclose(session.run(None, given)[0], expected, atol=1e-4)
            for _ in range(photos):
                began = time.perf_counter()
                session.run(None, given)
                seconds[name].append(time.perf_counter() - began)
    ours, others = (statistics.median(seconds[name]) for name in sessions)
    return (
        f"{loaded['ours']:7.2f} s {loaded['theirs']:7.2f} s   {ours * 1000:6.2f} ms {others * 1000:6.2f} ms   "
        f"{ours / others:.2f}"
    )


def opened(content: bytes) -> Any:
    """A session on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    typer.run(main)
