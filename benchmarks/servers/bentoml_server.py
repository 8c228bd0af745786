"""BentoML with the bundle's ONNX file and its own batching: `bentoml serve benchmarks.servers.bentoml_server:Front`."""

import os
from pathlib import Path

import bentoml
import numpy as np

from foodscene.models.bundle import read_bundle
from foodscene.models.engine import open_engine
from foodscene.models.pixels import read_photo
from foodscene.models.prediction import rank

BUNDLE = read_bundle(Path(os.environ["BENCHMARK_BUNDLE"]))


@bentoml.service(workers=1)
class Network:
    """The model, which takes batches."""

    def __init__(self) -> None:
        self.engine = open_engine(BUNDLE, "onnx")

    @bentoml.api(batchable=True, max_batch_size=16, max_latency_ms=1000)
    def predict(self, photos: list[bytes]) -> list[list[float]]:
        return self.engine.predict(np.stack([read_photo(photo, BUNDLE.spec) for photo in photos])).tolist()  # type: ignore[no-any-return]


@bentoml.service(workers=1)
class Front:
    """What takes one photo by HTTP: a service that takes batches cannot."""

    network = bentoml.depends(Network)

    @bentoml.api(route="/predict")
    async def predict(self, file: Path) -> dict[str, object]:
        (probabilities,) = await self.network.to_async.predict([file.read_bytes()])
        return {"predictions": rank(np.asarray(probabilities, np.float32), BUNDLE.labels)}
