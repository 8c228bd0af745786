"""An engine that gives, beside probabilities, what enters a network's last dense layer: an embedding of the photo."""

import numpy as np
from numpy.typing import NDArray

from foodscene.app.bulk.errors import BulkError
from foodscene.models import files
from foodscene.models.bundle import MODEL, MOST_BYTES, Bundle, BundleError
from foodscene.models.engine import Engine
from foodscene.models.graph.graph import ModelRefused
from foodscene.models.graph.reader import read
from foodscene.models.outputs import probabilities


class FeatureEngine(Engine):
    """ONNX Runtime on a bundle's model, compiled with a second output. `run` gives (n, classes + features), float32."""

    kind = "onnx"

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Raises `BulkError` for a network without a dense layer, `BundleError` for one that cannot be compiled."""
        import onnxruntime

        self._bundle = bundle
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(_compiled(bundle), options, providers=["CPUExecutionProvider"])

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._bundle.scaling.apply(pixels)

    def run(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        output, features = self._session.run(None, {self._session.get_inputs()[0].name: prepared})
        answers = probabilities(self._bundle.output, output, self._bundle.card.temperature)
        return np.concatenate([answers, features.reshape(len(features), -1)], axis=1, dtype=np.float32)


def _compiled(bundle: Bundle) -> bytes:
    from foodscene.models.graph.compiler import compile_graph, features_of

    try:
        with files.opening(bundle.model, MOST_BYTES[MODEL]) as file:
            if files.hash_content(file) != bundle.sha256:
                raise BundleError(f"{bundle.name}: {bundle.file} has changed since it was checked. Try again.")
            graph = read(file, bundle.file, sides=(bundle.spec.height, bundle.spec.width))
        node = features_of(graph)
        if node is None:
            raise BulkError(
                f"{bundle.name} has no dense layer, before which its features would be: leave out --features."
            )
        return bytes(compile_graph(graph, features=node).SerializeToString())
    except (ModelRefused, files.UnreadableFile, OSError) as error:
        raise BundleError(f"{bundle.name}: {error}") from error
