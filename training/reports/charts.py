"""Pictures of figures: SVG that follows the reader's light or dark screen, in colours safe for the colour-blind.

Every function returns the text of an SVG file that needs no other.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec

import numpy as np

from foodscene.models.files import MARK
from foodscene.models.text import spell
from foodscene.training.evaluation.evaluation import Evaluation
from foodscene.training.evaluation.metrics import Bin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_P = ParamSpec("_P")


class _Colour(NamedTuple):
    """What matplotlib draws with, and what it becomes on a light and on a dark screen."""

    name: str
    drawn: str
    light: str
    dark: str


_INK = _Colour("ink", "#010203", "#1f2328", "#e6e8eb")
_SOFT = _Colour("soft", "#020304", "#6a7078", "#9aa2ab")
_LINE = _Colour("line", "#030405", "#d9dce0", "#3a4048")
_PAPER = _Colour("paper", "#040506", "#ffffff", "#16181d")
_HEAT = _Colour("heat", "#050607", "#0b4f8a", "#3d8fd1")
_MISS = _Colour("miss", "#060708", "#b34700", "#f0904a")
# After Okabe and Ito, "Color Universal Design", 2008; darker on light and lighter on dark, for contrast.
_SERIES = (
    _Colour("s0", "#101112", "#0072b2", "#56b4e9"),
    _Colour("s1", "#111213", "#c25400", "#f39a4d"),
    _Colour("s2", "#121314", "#00805e", "#2fc79b"),
    _Colour("s3", "#131415", "#a8558a", "#e5a0cb"),
    _Colour("s4", "#141516", "#7a6a00", "#e4d03a"),
    _Colour("s5", "#151617", "#444a52", "#b9c0c8"),
)
_COLOURS = (_INK, _SOFT, _LINE, _PAPER, _HEAT, _MISS, *_SERIES)
_DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2)))

_STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a class may be called $, and a run from $5 to $10
    "text.usetex": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "foodscene",
}

MOST_COUNTS = 30
"""Classes up to which a confusion matrix says its counts; up to four times as many it still has labels."""


def _plainly(draw: Callable[_P, str]) -> Callable[_P, str]:
    """Draw what people wrote as they wrote it: texts take their style when they are made."""

    @wraps(draw)
    def drawn(*given: _P.args, **options: _P.kwargs) -> str:
        from matplotlib import rc_context

        with rc_context(_STYLE):
            return draw(*given, **options)

    return drawn


@_plainly
def confusion(evaluation: Evaluation) -> str:
    """The confusion matrix: a row for each true label, a column for each predicted, shaded by the row's share."""
    table = evaluation.confusion()
    labels, matrix = [spell(label) for label in table["labels"]], np.array(table["matrix"])
    count = len(labels)
    cell = 0.42 if count <= 12 else 0.34 if count <= MOST_COUNTS else 0.15
    figure = _figure(1.9 + count * cell, 1.9 + count * cell)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    for row, column in np.argwhere(matrix):
        share, right = float(shares[row, column]), row == column
        axes.add_patch(
            _square(column, row, _HEAT if right else _MISS, 0.06 + 0.94 * share if right else 0.15 + 0.85 * share)
        )
        if count <= MOST_COUNTS:
            colour = _PAPER if share > 0.7 else _INK
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour.drawn, fontsize=8)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), aspect="equal")
    axes.set_xlabel("predicted", color=_SOFT.drawn)
    axes.set_ylabel("true", color=_SOFT.drawn)
    axes.xaxis.set_label_position("top")
    size = 9 if count <= MOST_COUNTS else 6
    shown = range(count) if count <= 4 * MOST_COUNTS else []
    axes.set_xticks(shown, [labels[index] for index in shown], rotation=90, fontsize=size)
    axes.set_yticks(shown, [labels[index] for index in shown], fontsize=size)
    axes.tick_params(length=0, labeltop=True, labelbottom=False, labelcolor=_INK.drawn)
    return _svg(figure)


@_plainly
def reliability(bins: Sequence[Bin], error: float) -> str:
    """The reliability diagram: how often answers are right by the probability given, and how many there are of each."""
    figure = _figure(5.2, 5.4)
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    middles, width = [(one.low + one.high) / 2 for one in bins], bins[0].high - bins[0].low if bins else 1
    upper.bar(middles, [one.accuracy for one in bins], width * 0.9, color=_SERIES[0].drawn, label="right")
    for one, middle in zip(bins, middles, strict=True):
        left, right = middle - width * 0.45, middle + width * 0.45
        upper.plot([left, right], [one.confidence] * 2, color=_SERIES[1].drawn, linewidth=2.5)
    upper.plot([], [], color=_SERIES[1].drawn, linewidth=2.5, label="probability given")
    upper.plot([0, 1], [0, 1], color=_SOFT.drawn, linewidth=1, linestyle=_DASHES[1], label="perfect")
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is right")
    upper.set_title(f"calibration error {error:.3f}", loc="left", fontsize=10, color=_INK.drawn)
    lower.bar(middles, [one.photos for one in bins], width * 0.9, color=_SERIES[0].drawn)
    lower.set(xlabel="probability of the answer", ylabel="photos")
    for axes in (upper, lower):
        _plain(axes)
    _legend(upper, "upper left")
    return _svg(figure)


@_plainly
def histories(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Loss and top-1 by epoch, a colour for each run: training dotted, validation drawn through."""
    figure = _figure(9.2, 3.4 + 0.22 * (len(runs) if len(runs) > 1 else 0))
    left, right = figure.subplots(1, 2)
    for axes, name, title in ((left, "loss", "loss"), (right, "top1", "top-1")):
        for number, rows in enumerate(runs.values()):
            colour = _SERIES[number % len(_SERIES)].drawn
            epochs = [row["epoch"] for row in rows]
            dash = _DASHES[0] if number < len(_SERIES) else _DASHES[3]
            for column, style, what in ((f"val_{name}", dash, "validation"), (name, _DASHES[2], "training")):
                values = [row.get(column, np.nan) for row in rows]
                marker = "o" if len(rows) < 3 else None
                # A number in place of a run's name: matplotlib leaves out what begins with an underscore.
                label = what if len(runs) == 1 else f"{number}" if style is dash else None
                axes.plot(epochs, values, color=colour, linestyle=style, linewidth=1.8, marker=marker, label=label)
        said = title if len(runs) == 1 else f"{title} on validation photos; dotted, on training photos"
        axes.set_title(said, loc="left", fontsize=10, color=_INK.drawn)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        _plain(axes)
    if len(runs) == 1:
        _legend(left, "best")
    else:
        handles, labels = left.get_legend_handles_labels()
        legend = figure.legend(
            handles, labels, loc="outside lower left", frameon=False, fontsize=9, labelcolor=_INK.drawn, ncols=2
        )
        for text, name in zip(legend.get_texts(), runs, strict=True):
            text.set_text(name)
    return _svg(figure)


@_plainly
def curves(lines: Mapping[str, Sequence[tuple[float, float]]], untouched: float, units: Mapping[str, str]) -> str:
    """Top-1 as photos are altered more and more, a small chart for each way; the dashed line is without any."""
    columns = min(3, len(lines))
    rows = -(-len(lines) // columns)
    figure = _figure(9.2, 2.3 * rows)
    for number, (name, points) in enumerate(lines.items(), start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.axhline(untouched, color=_SOFT.drawn, linestyle=_DASHES[1], linewidth=1)
        axes.plot(*zip(*points, strict=True), color=_SERIES[0].drawn, marker="o", markersize=4, linewidth=1.8)
        axes.set_ylim(0, 1.02)
        axes.set_title(name, loc="left", fontsize=10, color=_INK.drawn)
        axes.set_xlabel(units[name])
        _plain(axes)
    return _svg(figure)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _square(x: int, y: int, colour: _Colour, alpha: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, facecolor=colour.drawn, alpha=alpha, linewidth=0)


def _plain(axes: "Axes") -> None:
    """Axes without what draws attention from the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=_LINE.drawn, linewidth=0.8)
    axes.set_axisbelow(True)


def _legend(axes: "Axes", where: Literal["best", "upper left"]) -> None:
    axes.legend(loc=where, frameon=False, fontsize=9, labelcolor=_INK.drawn)


def _svg(figure: "Figure") -> str:
    for axes in figure.axes:
        axes.set_facecolor("none")
        axes.tick_params(color=_LINE.drawn)
        axes.xaxis.label.set_color(_SOFT.drawn)
        axes.yaxis.label.set_color(_SOFT.drawn)
        axes.tick_params(labelcolor=_INK.drawn)
        for spine in axes.spines.values():
            spine.set_color(_LINE.drawn)
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": MARK})
    svg = text.getvalue()
    for colour in _COLOURS:
        svg = svg.replace(colour.drawn, f"var(--{colour.name})")
    light, dark = (
        "; ".join(f"--{one.name}: {getattr(one, screen)}" for one in _COLOURS) for screen in ("light", "dark")
    )
    style = f"svg {{ {light}; background: var(--paper) }} @media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}"
    style += " text { font-family: sans-serif !important }"
    head, opening, rest = svg.partition("<svg")
    attributes, closing, body = rest.partition(">")
    return f"{head}{opening}{attributes}{closing}<style>{style}</style>{body}"
