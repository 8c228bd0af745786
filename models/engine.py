"""Engines run a bundle's model: ONNX Runtime its compiled form, or Keras the `.h5` itself. Both answer the same."""

import importlib.util
import logging
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from foodscene.models import files, onnx_safety
from foodscene.models.bundle import MODEL, MOST_BYTES, ONNX, Bundle, BundleError, UnsafeBundle, read_part
from foodscene.models.safety import UnsafeModel, inspect

if TYPE_CHECKING:
    import keras

EngineKind = Literal["auto", "onnx", "keras"]

COMPILED_FROM = "foodscene.compiled_from"
"""The key in an ONNX file's metadata under which stands the sha256 of the `model.h5` that it was compiled from."""


_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_COMPILE = "Compile it where Keras is installed: foodscene compile FOLDER."

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """Something that runs one model. Calls from several threads are safe."""

    kind: str

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What `run` takes, for photos of shape (n, height, width, channels), values 0-255.

        A step of its own, so that another thread can do it ahead.
        """
        ...

    def run(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of shape (n, classes)."""
        ...

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of shape (n, classes), for photos of shape (n, height, width, channels), values 0-255."""
        return self.run(self.prepare(pixels))


def open_engine(bundle: Bundle, kind: EngineKind = "auto", threads: int = 0) -> Engine:
    """The engine for a bundle, checked with one blank photo: ONNX Runtime where a compiled file fits, else Keras.

    `threads` is how many cores one call of ONNX Runtime may use, 0 for all of them.
    Raises `BundleError` where the bundle has nothing that can be run here, or its output does not fit its labels.
    """
    engine: Engine
    if kind == "keras":
        engine = KerasEngine(bundle)
    else:
        try:
            engine = OnnxEngine(bundle, threads)
        except BundleError as error:
            if kind == "onnx" or isinstance(error, UnsafeBundle) or not importlib.util.find_spec("keras"):
                raise
            logger.warning("%s It runs on Keras instead.", error)
            engine = KerasEngine(bundle)
    _check_output(bundle, engine)
    return engine


class OnnxEngine(Engine):
    """ONNX Runtime on `model.onnx`."""

    kind = "onnx"

    def __init__(self, bundle: Bundle, threads: int = 0, path: Path | None = None) -> None:
        import onnxruntime  # 50 ms that only a caller with a model pays

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        content = path.read_bytes() if path else read_part(bundle.folder, ONNX)
        if content is None:
            raise BundleError(f"{bundle.name} has no model.onnx. {_COMPILE}")
        try:
            onnx_safety.check(content, bundle.spec.shape)
        except UnsafeModel as error:
            raise UnsafeBundle(f"{bundle.name}: {error}") from error
        try:
            with tempfile.TemporaryDirectory(prefix="foodscene-") as empty:
                # The folder that a file's weights may lie in: what the check above would miss is not there either.
                options.add_session_config_entry(_WEIGHTS_FOLDER, empty)
                self._session = onnxruntime.InferenceSession(content, options, providers=_providers(onnxruntime))
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise BundleError(f"{bundle.name}: model.onnx cannot be loaded: {error}") from error
        self.compiled_from = self._session.get_modelmeta().custom_metadata_map.get(COMPILED_FROM, "")
        if self.compiled_from != bundle.sha256:
            raise BundleError(f"{bundle.name}: model.onnx was compiled from another model.h5. {_COMPILE}")
        self._input = self._session.get_inputs()[0].name
        self._rescale = np.float32(bundle.card.input.rescale if bundle.card.input else 1)

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return pixels * self._rescale

    def run(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._session.run(None, {self._input: prepared})[0], dtype=np.float32)


class KerasEngine(Engine):
    """Keras on `model.h5`, on whichever backend Keras is set to."""

    kind = "keras"

    def __init__(self, bundle: Bundle, model: "keras.Model | None" = None) -> None:
        self.model = model or _load_keras(bundle)
        self._rescale = np.float32(bundle.card.input.rescale if bundle.card.input else 1)
        self._lock = threading.Lock()

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return pixels * self._rescale

    def run(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._lock:
            return np.asarray(self.model.predict_on_batch(prepared), dtype=np.float32)


def _load_keras(bundle: Bundle) -> "keras.Model":
    """Load a private copy of `model.h5`, so that what has been checked is what is loaded, whoever writes meanwhile."""
    import keras  # takes seconds, and is not there where foodscene only serves

    with tempfile.TemporaryDirectory(prefix="foodscene-") as folder:
        copy = Path(folder) / MODEL
        with files.opening(bundle.model, MOST_BYTES[MODEL]) as file, copy.open("wb") as target:
            shutil.copyfileobj(file, target)
        if files.hash_file(copy) != bundle.sha256:
            raise BundleError(f"{bundle.name}: model.h5 has changed since it was checked. Try again.")
        try:
            inspect(copy)
            return keras.models.load_model(copy, compile=False, safe_mode=True)
        except UnsafeModel as error:
            raise BundleError(f"{bundle.name}: {error}") from error
        except Exception as error:  # Keras raises whatever an older version's file leads it to
            raise BundleError(f"{bundle.name}: Keras {keras.__version__} cannot load model.h5: {error}") from error


def _providers(onnxruntime: object) -> list[str]:
    available = onnxruntime.get_available_providers()  # type: ignore[attr-defined]
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]


def _check_output(bundle: Bundle, engine: Engine) -> None:
    try:
        output = engine.predict(np.full((1, *bundle.spec.shape), 127, dtype=np.uint8))
    except BundleError:
        raise
    except Exception as error:  # either engine's own exceptions
        raise BundleError(
            f"{bundle.name}: the model does not take photos of shape {bundle.spec.shape}: {error}"
        ) from error
    if output.shape != (1, len(bundle.labels)):
        raise BundleError(
            f"{bundle.name}: labels.txt has {len(bundle.labels)} labels, the model's output the shape {output.shape}."
        )
    if not np.all(np.isfinite(output)) or output.min() < 0 or abs(float(output.sum()) - 1) > 1e-3:
        raise BundleError(
            f"{bundle.name}: the model does not answer with probabilities; its last layer must be a softmax."
        )
