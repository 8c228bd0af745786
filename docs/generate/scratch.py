"""The pictures of docs/from-scratch.md: `python -m docs.generate.scratch docs/images`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from foodscene.training.scratch.convolution import Convolution
from foodscene.training.scratch.optimizers import AdaGrad, Adam, Momentum, Optimizer, RMSprop

Points = NDArray[np.float64]

OPTIMIZERS: dict[str, tuple[Callable[[], Optimizer], float]] = {
    "gradient descent, rate 0.018": (Optimizer, 0.018),
    "momentum 0.9, rate 0.002": (Momentum, 0.002),
    "AdaGrad, rate 0.5": (AdaGrad, 0.5),
    "RMSprop, rate 0.08": (RMSprop, 0.08),
    "Adam, rate 0.15": (Adam, 0.15),
}
"""With a rate that suits each on `ravine`."""

# After Okabe and Ito, "Color Universal Design", 2008.
_COLOURS = ("#0072b2", "#c25400", "#00805e", "#a8558a", "#7a6a00")


def descent(optimizer: Optimizer, slope: Callable[[Points], Points], start: Points, rate: float, steps: int) -> Points:
    """Where an optimizer comes by from `start`, shape (steps + 1, *start.shape); `slope` is the loss's gradient."""
    w, path = start.copy(), [start.copy()]
    for _ in range(steps):
        optimizer.step(w, slope(w), rate)
        path.append(w.copy())
    return np.stack(path)


def ravine(w: Points) -> Points:
    """A loss that is a hundred times as steep along the second of two weights; w (..., 2)."""
    return np.asarray(0.5 * w[..., 0] ** 2 + 50 * w[..., 1] ** 2)


def ravine_slope(w: Points) -> Points:
    """The gradient of `ravine`."""
    return np.multiply(w, [1.0, 100.0])


def edges(picture: NDArray[np.float32], kernel: Any) -> NDArray[np.float32]:
    """What a convolution of one 3 x 3 kernel makes of a picture (height, width)."""
    layer = Convolution(1, 3)
    layer.build((*picture.shape, 1), np.random.default_rng(0), np.float32)
    layer.parameters[0][:, :, 0, 0] = kernel
    return np.asarray(layer.forward(picture[None, :, :, None])[0, :, :, 0])


def on_a_curve() -> Figure:
    """Gradient descent on w², with three rates."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    curve = np.linspace(-2.2, 2.2, 100)
    for axes, rate in zip(figure.subplots(1, 3, sharey=True), (0.05, 0.4, 0.95), strict=True):
        path = descent(Optimizer(), lambda w: 2 * w, np.array([2.0]), rate, 8)[:, 0]
        axes.plot(curve, curve**2, color="#9aa2ab")
        axes.plot(path, path**2, "o-", color=_COLOURS[0], markersize=4)
        axes.set_title(f"rate {rate}", loc="left", fontsize=10)
        axes.set_xlabel("weight")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("loss")
    return figure


def by_a_kernel() -> Figure:
    """A drawn digit, and what two kernels see of it."""
    places = np.linspace(-1, 1, 28)
    distance = np.hypot(places[None] / 0.6, places[:, None] / 0.85)
    picture = np.clip(4 * (0.28 - np.abs(distance - 0.75)) + 0.5, 0, 1).astype(np.float32)
    vertical = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    figure = Figure(figsize=(9, 3), layout="constrained")
    shown = {
        "the picture": picture,
        "edges from left to right": edges(picture, vertical),
        "edges from top to bottom": edges(picture, vertical.T),
    }
    for axes, (title, values) in zip(figure.subplots(1, 3), shown.items(), strict=True):
        limit = float(np.abs(values).max())
        axes.imshow(
            values,
            cmap="gray_r" if title == "the picture" else "RdBu",
            vmin=0 if title == "the picture" else -limit,
            vmax=limit,
        )
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_axis_off()
    return figure


def in_a_ravine() -> Figure:
    """The ways of five optimizers through the ravine, and their losses."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    ways, losses = figure.subplots(2, 1, height_ratios=(1, 1))
    across, along = np.meshgrid(np.linspace(-4.3, 1.2, 150), np.linspace(-0.55, 0.55, 100))
    ways.contour(across, along, ravine(np.stack([across, along], -1)), np.geomspace(0.02, 20, 10), colors="#d0d4d8")
    for (name, (make, rate)), colour in zip(OPTIMIZERS.items(), _COLOURS, strict=True):
        path = descent(make(), ravine_slope, np.array([-4.0, 0.4]), rate, 60)
        ways.plot(path[:, 0], path[:, 1], ".-", color=colour, linewidth=1, markersize=3)
        losses.semilogy(ravine(path), color=colour, label=name)
    ways.plot(0, 0, "k+")
    ways.set(xlabel="the gentle weight", ylabel="the steep weight")
    losses.set(xlabel="step", ylabel="loss", ylim=(1e-6, 20))
    losses.legend(frameon=False, fontsize=9)
    for axes in (ways, losses):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


PICTURES = {"descent": on_a_curve, "edges": by_a_kernel, "ravine": in_a_ravine}
"""By the names of their files."""


def draw(folder: Path) -> None:
    """Write the pictures as SVG."""
    for name, picture in PICTURES.items():
        with rc_context({"svg.hashsalt": "foodscene"}):
            picture().savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
