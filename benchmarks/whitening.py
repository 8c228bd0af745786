"""Time and memory of ZCA whitening at 64 px: `python -m benchmarks.whitening --data food-101-10.tar.gz`.

The report that this reproduces gave ZCA up after 76 minutes and 30 GB.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.needs import need


def main(
    data: Annotated[Path, typer.Option(help="A folder of photos, or an archive as downloaded.")],
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
    rank: Annotated[int, typer.Option(help="Directions that are whitened.")] = 512,
) -> None:
    need("keras", "scipy")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from foodscene.models.pixels import InputSpec
    from foodscene.training.data.load import load
    from foodscene.training.recipes.augmentation import Augmentation

    augmentation = Augmentation(zca_whitening=True, zca_rank=rank)
    spec = InputSpec(size, size)
    augmentation.check(spec)
    photos = load(data, spec)

    import keras

    from foodscene.training.augmentation import standardization

    start = time.perf_counter()
    inputs = outputs = keras.Input(spec.shape)
    for layer in standardization.layers(augmentation, photos.pixels, photos.train):
        outputs = layer(outputs)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    model = keras.Model(inputs, outputs)
    white = model.predict(photos.pixels[photos.train], verbose=0).reshape(len(photos.train), -1)
    variances = np.linalg.eigvalsh(white @ white.T / len(white))[-rank:]
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.h5")
        saved = (Path(folder) / "model.h5").stat().st_size / 1e6
    print(f"{len(photos.train)} photos of {size} x {size} x 3, {rank} directions, {os.cpu_count()} cores")
    print(f"time            {seconds:8.1f} s    (to stay below 300)")
    print(f"peak memory     {memory:8.2f} GB   (to stay below 4; of the whole process, TensorFlow included)")
    print(f"saved model     {saved:8.1f} MB   (to stay below 64)")
    print(f"variances of the whitened directions, all to be 1: {variances.min():.4f} to {variances.max():.4f}")


if __name__ == "__main__":
    typer.run(main)
