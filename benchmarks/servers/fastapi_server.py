"""The usual way: FastAPI, and Keras' `model.predict` in each request. `… fastapi_server BUNDLE PORT`."""

import sys
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import uvicorn
from fastapi import FastAPI, File

from foodscene.models.bundle import read_bundle
from foodscene.models.pixels import read_photo
from foodscene.models.prediction import rank

app = FastAPI()
bundle = read_bundle(Path(sys.argv[1]))
model = keras.models.load_model(bundle.model, compile=False)


@app.post("/predict")
def predict(file: Annotated[bytes, File()]) -> dict[str, object]:
    pixels = read_photo(file, bundle.spec)[None].astype(np.float32)
    return {"predictions": rank(model.predict(pixels, verbose=0)[0], bundle.labels)}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
