"""Engines run a bundle's model: ONNX Runtime what it is compiled to, or Keras the file itself. Both answer the same."""

import hashlib
import logging
import re
import shutil
import tempfile
import threading
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from foodscene.models import files
from foodscene.models.bundle import MODEL, MOST_BYTES, ONNX, Bundle, BundleError
from foodscene.models.compiler import compiled
from foodscene.models.errors import FoodsceneError
from foodscene.models.exported.reader import Exported
from foodscene.models.graph.graph import ModelRefused, in_words
from foodscene.models.graph.reader import read
from foodscene.models.graph.writer import write
from foodscene.models.outputs import probabilities

if TYPE_CHECKING:
    import keras
    import onnxruntime

EngineKind = Literal["auto", "onnx", "keras"]

logger = logging.getLogger(__name__)


class EngineError(FoodsceneError, RuntimeError):
    """A network that failed on some pixels. Its text has the engine's own words."""


class Outputs(NamedTuple):
    """What an engine gives for n photos."""

    probabilities: NDArray[np.float32]
    """Shape (n, classes)."""
    features: NDArray[np.float32] | None = None
    """What enters the network's last dense layer, shape (n, features); None where it has no such layer."""
    closeness: NDArray[np.float32] | None = None
    """How close the features are to what is familiar, shape (n,): see `models.familiarity`; None without that."""

    def part(self, first: int, count: int) -> "Outputs":
        """Those of `count` photos, from the one at `first` on."""
        return Outputs(*(None if values is None else values[first : first + count] for values in self))  # type: ignore[arg-type]


class Engine(Protocol):
    """Something that runs one model. Calls from several threads are safe."""

    kind: str

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What `run` takes, for photos of shape (n, height, width, channels), values 0-255.

        A step of its own, so that another thread can do it ahead.
        """
        ...

    def run(self, prepared: NDArray[np.float32]) -> Outputs:
        """What the model makes of n photos."""
        ...

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of shape (n, classes), for photos of shape (n, height, width, channels), values 0-255."""
        return self.look(pixels).probabilities

    def look(self, pixels: NDArray[np.uint8]) -> Outputs:
        """All that the model makes of photos of shape (n, height, width, channels), values 0-255."""
        return self.run(self.prepare(pixels))


def open_engine(bundle: Bundle, kind: EngineKind = "auto", threads: int = 0) -> Engine:
    """The engine for a bundle, checked with one blank photo: ONNX Runtime, or Keras where that is asked for.

    `threads` is how many cores one call of ONNX Runtime may use, 0 for all of them.
    Raises `BundleError` where the bundle cannot be run here, or does not answer with probabilities.
    """
    if kind == "keras":
        engine: Engine = KerasEngine(bundle)
    elif bundle.exported:
        engine = ExportedEngine(bundle, threads, bundle.exported)
    else:
        engine = OnnxEngine(bundle, threads)
    _check_output(bundle, engine)
    return engine


def tried(bundle: Bundle) -> Bundle | BundleError:
    """The bundle where it can be run here, else why it cannot: what whoever serves it or asks it will find out."""
    try:
        open_engine(bundle)
    except BundleError as error:
        return error
    return bundle


class _Engine(Engine):
    """What both engines do before and after the network: scale pixels, and make probabilities of its output."""

    def __init__(self, bundle: Bundle) -> None:
        self._scaling = bundle.scaling
        self._output = bundle.output
        self._temperature = bundle.card.temperature
        self._name = bundle.name

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._scaling.apply(pixels)

    def run(self, prepared: NDArray[np.float32]) -> Outputs:
        answered = self.answer(prepared)
        found = probabilities(self._output, answered.probabilities, self._temperature)
        return answered._replace(probabilities=np.nan_to_num(found, copy=False))  # what fails on a photo has no label

    @abstractmethod
    def answer(self, prepared: NDArray[np.float32]) -> Outputs:
        """The network's own output, of shape (n, units), in the place of probabilities, and what comes with it."""


class OnnxEngine(_Engine):
    """ONNX Runtime on what the bundle's model is compiled to."""

    kind = "onnx"

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        super().__init__(bundle)
        self._session = _open_session(bundle, threads)
        self._input = self._session.get_inputs()[0].name

    def answer(self, prepared: NDArray[np.float32]) -> Outputs:
        return Outputs(*self._outputs(None, prepared))  # in their order: the compiler's is the same

    def _outputs(self, wanted: list[str] | None, prepared: "NDArray[np.floating[Any]]") -> list[NDArray[Any]]:
        """The network's outputs, or those `wanted`. Raises `EngineError`."""
        try:
            return list(self._session.run(wanted, {self._input: prepared}))
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise EngineError(f"{self._name}: ONNX Runtime failed on these pixels: {_said(error)}") from error


class ExportedEngine(OnnxEngine):
    """ONNX Runtime on a `model.onnx` that another program exported, with its own order of axes, type and batch."""

    def __init__(self, bundle: Bundle, threads: int, exported: Exported) -> None:
        super().__init__(bundle, threads)
        self._exported = exported

    def answer(self, prepared: NDArray[np.float32]) -> Outputs:
        exported = self._exported
        photos = prepared.transpose(0, 3, 1, 2) if exported.channels_first else prepared
        photos = np.ascontiguousarray(photos, dtype=exported.dtype)
        size = exported.batch or len(photos)
        answers = [self._ask(photos[start : start + size], size) for start in range(0, len(photos), size)]
        return Outputs(np.concatenate(answers).astype(np.float32))

    def _ask(self, photos: "NDArray[np.floating[Any]]", size: int) -> "NDArray[np.floating[Any]]":
        """Answers of shape (n, units), for up to `size` photos; what a fixed batch lacks is filled up."""
        lacking = np.zeros((size - len(photos), *photos.shape[1:]), photos.dtype)
        [answer] = self._outputs([self._exported.output], np.concatenate([photos, lacking]))
        return np.asarray(answer).reshape(size, -1)[: len(photos)]


def _open_session(bundle: Bundle, threads: int) -> "onnxruntime.InferenceSession":
    """A session of ONNX Runtime. What the cache holds is compiled anew where it cannot be loaded."""
    if bundle.exported:
        return _session(bundle, _checked(bundle), threads)
    try:
        return _session(bundle, compiled(bundle), threads)
    except BundleError:
        return _session(bundle, compiled(bundle, fresh=True), threads)


def _session(bundle: Bundle, content: bytes, threads: int) -> "onnxruntime.InferenceSession":
    import onnxruntime  # 50 ms that only a caller with a model pays

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not by what the bytes look like
    try:
        with tempfile.TemporaryDirectory(prefix="foodscene-") as nothing:  # all that a graph could name files in
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", nothing)
            return onnxruntime.InferenceSession(content, options, providers=_providers(onnxruntime))
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise BundleError(f"{bundle.name}: {bundle.file} cannot be run by ONNX Runtime: {_said(error)}") from error


def _checked(bundle: Bundle) -> bytes:
    """The file that was checked, whoever writes meanwhile."""
    try:
        content = files.read(bundle.model, MOST_BYTES[ONNX])
    except (files.UnreadableFile, OSError) as error:
        raise BundleError(f"{bundle.name}: {error}") from error
    if hashlib.sha256(content).hexdigest() != bundle.sha256:
        raise BundleError(f"{bundle.name}: {bundle.file} has changed since it was checked. Try again.")
    return content


class KerasEngine(_Engine):
    """Keras on the model's file, on whichever backend Keras is set to."""

    kind = "keras"

    def __init__(self, bundle: Bundle, model: "keras.Model | None" = None) -> None:
        super().__init__(bundle)
        if bundle.exported:
            raise BundleError(
                f"{bundle.name}: Keras does not read {bundle.file}. Leave out --engine keras; what trains a network on "
                "from there, or looks into it, needs a model.h5."
            )
        self.model = model or _load_keras(bundle)
        self._familiar = bundle.familiar
        self._both = _with_features(self.model) if bundle.familiar else None
        self._lock = threading.Lock()

    def answer(self, prepared: NDArray[np.float32]) -> Outputs:
        with self._lock:
            if self._both is None or self._familiar is None:
                return Outputs(np.asarray(self.model.predict_on_batch(prepared), dtype=np.float32))
            output, features = (np.asarray(one, dtype=np.float32) for one in self._both.predict_on_batch(prepared))
        return Outputs(output, features, self._familiar.closeness(features))


def _with_features(model: "keras.Model") -> "keras.Model":
    """The same network with the features, which enter its last dense layer, as a second output."""
    import keras

    last = next(layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense))
    return keras.Model(model.inputs, [model.outputs[0], last.input])


def _load_keras(bundle: Bundle) -> "keras.Model":
    """Load a private copy of the model, so that what has been checked is what is loaded, whoever writes meanwhile.

    What this Keras cannot read of an older one's file, it gets in its own words.
    """
    import keras  # takes seconds, and is not there where foodscene only serves

    with tempfile.TemporaryDirectory(prefix="foodscene-") as folder:
        copy = Path(folder) / bundle.file
        with files.opening(bundle.model, MOST_BYTES[MODEL]) as file, copy.open("wb") as target:
            shutil.copyfileobj(file, target)
        if files.hash_file(copy) != bundle.sha256:
            raise BundleError(f"{bundle.name}: {bundle.file} has changed since it was checked. Try again.")
        try:
            graph = read(copy, sides=(bundle.spec.height, bundle.spec.width))
        except ModelRefused as error:
            raise BundleError(f"{bundle.name}: {error}") from error
        try:
            if bundle.familiar:  # whose features are easily found in a network without networks in it
                write(graph, copy := Path(folder) / "flat.h5")
            return keras.models.load_model(copy, compile=False, safe_mode=True)
        except Exception as error:  # noqa: BLE001 - Keras raises whatever an older version's file leads it to
            logger.info("Keras %s cannot load %s as it is: %s", keras.__version__, bundle.model, error)
            write(graph, Path(folder) / "again.h5")
            try:
                return keras.models.load_model(Path(folder) / "again.h5", compile=False, safe_mode=True)
            except Exception as again:
                raise BundleError(
                    f"{bundle.name}: Keras {keras.__version__} cannot load {bundle.file}, which Keras {graph.version} "
                    "wrote. It runs without Keras: leave out --engine keras."
                ) from again


def _said(error: Exception) -> str:
    """An engine's own words, without what precedes and follows them."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip())
    return (text.splitlines() or [type(error).__name__])[0][:300]


def _providers(onnxruntime: object) -> list[str]:
    available = onnxruntime.get_available_providers()  # type: ignore[attr-defined]
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]


def _check_output(bundle: Bundle, engine: Engine) -> None:
    try:
        output = engine.predict(np.full((1, *bundle.spec.shape), 127, dtype=np.uint8))
    except BundleError:
        raise
    except Exception as error:  # either engine's own exceptions
        said = _said(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        raise BundleError(
            f"{bundle.name}: the model does not take photos of {in_words(bundle.spec.shape)}: {said}"
        ) from error
    adds_up = bundle.output == "multi_label" or abs(float(output.sum()) - 1) <= 1e-3
    if output.shape != (1, len(bundle.labels)) or not (0 <= output.min() <= output.max() <= 1 and adds_up):
        raise BundleError(f"{bundle.name}: the model does not answer with probabilities, as a {bundle.output} would.")
