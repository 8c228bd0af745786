"""The network library in NumPy against what it could be: `python -m benchmarks.scratch [--rounds 5] [--steps 60]`.

Pictures a second of whole training steps, dropout and Adam included, of the network of the report's row D12 (159,930
weights, 5 x 5 kernels) in batches of 16, float32, from one run on one machine:

- `steps`: the library's,
- `products`: the matrix products of such steps alone, on matrices that are there already, as im2col has them, with the
  threads of NumPy's BLAS: what a network in NumPy is measured against (at least 0.4 of it; aimed at is 0.6),
- `products in parts`: the same, a part of the batch for each core. On a machine that others use too, BLAS' threads wait
  for each other at every product,
- `textbook`: the same network, its convolutions as loops over the places of the output,
- `keras`: Keras on TensorFlow's CPU.

They take turns, and each one's best round counts: other programs slow a round down, never speed it up. The pictures are
noise.

    python -m benchmarks.scratch --curves mnist/four-convs-augmented --data mnist/ --epochs 5

trains a recipe by both backends instead, and prints the losses after each epoch (at most 2 % apart).
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.needs import need

need("keras", "tensorflow", "threadpoolctl")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from numpy.typing import NDArray

from foodscene.training.data import load
from foodscene.training.datasets import open_dataset
from foodscene.training.loop import loop, scratch
from foodscene.training.loop.progress import Both
from foodscene.training.recipes import recipe as recipes
from foodscene.training.runs import run
from foodscene.training.scratch.activations import ReLU, Softmax
from foodscene.training.scratch.convolution import Convolution
from foodscene.training.scratch.dense import Dense, Dropout, Flatten, Rescaling
from foodscene.training.scratch.graph import described
from foodscene.training.scratch.layer import Array, Layer
from foodscene.training.scratch.losses import CrossEntropy
from foodscene.training.scratch.network import Network
from foodscene.training.scratch.optimizers import Adam
from foodscene.training.scratch.pooling import MaxPooling
from foodscene.training.scratch.threads import CORES, each

BATCH, CLASSES, KERNEL = 16, 10, 5
SHAPE = (28, 28, 1)
Steps = Callable[[int], None]
"""Takes so many training steps."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60, help="training steps in a round")
    parser.add_argument("--curves", metavar="RECIPE", help="train this by both backends instead")
    parser.add_argument("--data", type=Path, help="of --curves")
    parser.add_argument("--epochs", type=int, default=5, help="of --curves")
    arguments = parser.parse_args()
    if not arguments.curves:
        speeds(arguments.rounds, arguments.steps)
    elif arguments.data:
        curves(arguments.curves, arguments.data, arguments.epochs)
    else:
        parser.error("--curves needs --data")


def speeds(rounds: int, several: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (BATCH, *SHAPE), dtype=np.uint8)
    t = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, BATCH)]
    ours = network(Convolution)
    print(f"{ours.parameters.size:,} weights, batches of {BATCH}, {len(os.sched_getaffinity(0))} cores")
    contenders: dict[str, tuple[Steps, int]] = {
        "steps": (library(ours, x, t), several),
        "products": (products(ours, 1), several),
        "products in parts": (products(ours, CORES), several),
        "textbook": (library(network(Textbook), x, t), max(1, several // 10)),
        "keras": (by_keras(ours, x, t), several),
    }
    best = dict.fromkeys(contenders, 0.0)
    for steps, _ in contenders.values():
        steps(2)
    for _ in range(rounds):
        for name, (steps, count) in contenders.items():
            began = time.perf_counter()
            steps(count)
            best[name] = max(best[name], count * BATCH / (time.perf_counter() - began))
    for name, speed in best.items():
        print(f"{name:18} {speed:8,.0f} pictures a second   the library's steps: {best['steps'] / speed:.2f} of that")


def curves(name: str, photos: Path, epochs: int) -> None:
    recipe = recipes.load(name, [f"training.epochs={epochs}"])
    data = load.load_for(recipe, open_dataset(photos, recipe.data.layout))
    with tempfile.TemporaryDirectory() as folder:
        theirs = loop.train(recipe, data, run.create(Path(folder) / "keras", {}), Both()).history
        ours = scratch.train(recipe, data, run.create(Path(folder) / "scratch", {}), Both()).history
    for one, other in zip(ours, theirs, strict=True):
        for key in ("loss", "val_loss"):
            apart = abs(one[key] / other[key] - 1)
            print(
                f"epoch {one['epoch']}  {key:8}  {one[key]:.4f}, by Keras {other[key]:.4f}: {100 * apart:.1f} % apart"
            )


def network(convolution: type[Convolution]) -> Network:
    layers: list[Layer] = [Rescaling(1 / 255)]
    for filters, pools in ((16, False), (32, True), (48, False), (64, True)):
        layers += [convolution(filters, KERNEL, initializer="he_normal"), ReLU()]
        layers += [MaxPooling()] if pools else []
        layers.append(Dropout(0.2))
    return Network([*layers, Flatten(), Dense(CLASSES), Softmax()], SHAPE)


def library(ours: Network, x: NDArray[np.uint8], t: NDArray[np.float32]) -> Steps:
    loss, optimizer = CrossEntropy(), Adam()

    def steps(count: int) -> None:
        for _ in range(count):
            ours.step(x, t, loss, optimizer, 0.001)

    return steps


def products(ours: Network, parts: int) -> Steps:
    """For each layer with a kernel: input times kernel, and the two products that its gradients take."""
    works = []
    rng = np.random.default_rng(0)
    x: Array = np.zeros((BATCH, *SHAPE), np.float32)
    for layer in ours.layers:
        x = layer.forward(x)
        if layer.parameters:
            kernel = layer.parameters[0].reshape(-1, layer.parameters[0].shape[-1])
            rows = x.size // x.shape[-1] // parts
            for _ in range(parts):
                a, g = (rng.standard_normal((rows, side), dtype=np.float32) for side in kernel.shape)
                works.append((a, kernel, g, np.empty_like(a), np.empty_like(kernel), np.empty_like(g), layer.lowest))

    def work(part: slice) -> None:
        for a, kernel, g, for_a, for_kernel, y, lowest in works[part]:
            np.matmul(a, kernel, out=y)
            np.matmul(a.T, g, out=for_kernel)
            if not lowest:
                np.matmul(g, kernel.T, out=for_a)

    def steps(count: int) -> None:
        for _ in range(count):
            each(work, [slice(part, None, parts) for part in range(parts)])

    return steps


class Textbook(Convolution):
    """Loops over the places of the output; stride 1, padding "same"."""

    def forward(self, x: Array, *, training: bool = False) -> Array:  # noqa: ARG002
        before, after = KERNEL // 2, KERNEL - 1 - KERNEL // 2
        self._padded = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
        kernel, bias = self.parameters
        y = np.empty((*x.shape[:3], self.filters), x.dtype)
        for p, q in np.ndindex(x.shape[1:3]):
            y[:, p, q] = np.tensordot(self._padded[:, p : p + KERNEL, q : q + KERNEL], kernel, 3) + bias
        return y

    def backward(self, gradient: Array) -> Array:
        (kernel, _), (for_kernel, for_bias) = self.parameters, self.gradients
        height, width = gradient.shape[1:3]
        into = np.zeros_like(self._padded)
        for_kernel[:] = 0
        for p, q in np.ndindex(height, width):
            window, g = (slice(None), slice(p, p + KERNEL), slice(q, q + KERNEL)), gradient[:, p, q]
            for_kernel += np.tensordot(self._padded[window], g, (0, 0))
            into[window] += np.tensordot(g, kernel, (1, 3))
        for_bias[:] = gradient.sum(axis=(0, 1, 2))
        return into[:, KERNEL // 2 : KERNEL // 2 + height, KERNEL // 2 : KERNEL // 2 + width]


def by_keras(ours: Network, x: NDArray[np.uint8], t: NDArray[np.float32]) -> Steps:
    layers = [getattr(keras.layers, layer.kind)(**layer.options) for layer in described(ours)]
    model = keras.Sequential([keras.Input(SHAPE), *layers])
    model.compile(keras.optimizers.Adam(0.001), "categorical_crossentropy")

    def steps(count: int) -> None:
        model.fit(np.tile(x, (count, 1, 1, 1)), np.tile(t, (count, 1)), batch_size=BATCH, verbose=0)

    return steps


if __name__ == "__main__":
    main()
