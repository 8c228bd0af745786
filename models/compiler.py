"""Compiles a bundle's Keras model to ONNX, and makes sure that both answer the same. Needs Keras."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foodscene.models.bundle import Bundle, BundleError
from foodscene.models.engine import COMPILED_FROM, KerasEngine, OnnxEngine
from foodscene.models.files import OccupiedError, writing
from foodscene.models.half_precision import halve_onnx

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4
"""The largest difference of a probability between Keras and ONNX Runtime."""


def compile_onnx(bundle: Bundle, model: "keras.Model | None" = None, sample: NDArray[np.uint8] | None = None) -> float:
    """Write `model.onnx` beside a bundle's `model.h5`; give the largest difference between the two engines' answers.

    `model` is the bundle's model where the caller holds it; `sample` photos of shape (n, height, width, channels),
    uint8, that both engines answer (noise without any). The file names the `model.h5` that it was compiled from.
    Raises `BundleError` where the model cannot be compiled, or a probability differs by more than `TOLERANCE`, and
    `OccupiedError` where a `model.onnx` is there that we did not compile.
    """
    import keras
    import onnx  # serving does without

    if keras.backend.backend() != "tensorflow":
        return _compile_by_tensorflow(bundle)
    reference = KerasEngine(bundle, model)
    if sample is None:
        sample = np.random.default_rng(0).integers(0, 256, (8, *bundle.spec.shape), dtype=np.uint8)
    expected = reference.predict(sample)  # a model must have been called before it can be exported
    if bundle.onnx.exists() and COMPILED_FROM.encode() not in bundle.onnx.read_bytes():
        raise OccupiedError(f"{bundle.onnx} was not compiled by foodscene: it is not replaced. Move it away first.")
    with tempfile.TemporaryDirectory(prefix="foodscene-") as temporary:
        path = Path(temporary) / "model.onnx"
        try:
            with _quietly():
                reference.model.export(path, format="onnx", verbose=False)
        except Exception as error:  # the exporters of Keras' backends raise all sorts
            raise BundleError(f"{bundle.name} cannot be compiled to ONNX: {error}") from error
        compiled = onnx.load(path)
        halve_onnx(compiled)
        compiled.metadata_props.add(key=COMPILED_FROM, value=bundle.sha256)
        onnx.save(compiled, path)
        difference = float(np.abs(OnnxEngine(bundle, path=path).predict(sample) - expected).max())
        if not difference <= TOLERANCE:
            raise BundleError(
                f"{bundle.name}: ONNX Runtime differs from Keras by {difference:.1e}, more than {TOLERANCE:.0e}."
            )
        with path.open("rb") as made, writing(bundle.onnx) as file:
            shutil.copyfileobj(made, file)
    return difference


def _compile_by_tensorflow(bundle: Bundle) -> float:
    """`compile_onnx` in a process of its own: Keras' other backends export by packages that foodscene does without."""
    program = (
        "import sys; from pathlib import Path; from foodscene.models.bundle import read; "
        "from foodscene.models.compiler import compile_onnx; print(compile_onnx(read(Path(sys.argv[1]))))"
    )
    done = subprocess.run(  # noqa: S603 - this program, with a folder's name
        [sys.executable, "-c", program, str(bundle.folder)],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BundleError(f"{bundle.name} cannot be compiled to ONNX: {said}")
    return float(done.stdout.split()[-1])


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporters' chatter off the terminal."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # noqa: PTH123
        yield
