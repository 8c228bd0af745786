"""LitServe with the bundle's ONNX file and its own batching: `… litserve_server BUNDLE PORT`."""

import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from fastapi import Request

from foodscene.models.bundle import read_bundle
from foodscene.models.engine import open_engine
from foodscene.models.pixels import read_photo
from foodscene.models.prediction import rank


class Classifier(litserve.LitAPI):
    """Decodes in the server's process, predicts in a worker's."""

    def setup(self, _: str) -> None:
        self.bundle = read_bundle(Path(sys.argv[1]))
        self.engine = open_engine(self.bundle, "onnx")

    def decode_request(self, request: Request) -> Any:
        return read_photo(request["file"].file.read(), self.bundle.spec)

    def batch(self, inputs: Any) -> Any:
        return np.stack(inputs)

    def predict(self, x: Any) -> Any:
        return self.engine.predict(x)

    def unbatch(self, output: Any) -> Any:
        return list(output)

    def encode_response(self, output: Any) -> Any:
        return {"predictions": rank(output, self.bundle.labels)}


if __name__ == "__main__":
    api = Classifier(max_batch_size=16, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error")
