"""A model measured: what an engine answers for the photos of a data set, and how fast."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.bundle import Bundle
from foodscene.models.engine import Engine, Outputs, open_engine
from foodscene.models.familiarity import Familiarity
from foodscene.training.datasets import open_dataset, renamed
from foodscene.training.datasets.names import matched
from foodscene.training.evaluation.evaluation import Evaluation, EvaluationError, join
from foodscene.training.terminal import tracked

if TYPE_CHECKING:
    from foodscene.training.data.load import Data

_BATCH = 32


SPLITS = ("train", "validation", "test", "all")


def photos_for(
    bundle: Bundle, path: Path, layout: str | None = None, labels: str | None = None, *, split: str = "all"
) -> "Data":
    """A data set at a bundle's size, split and its classes named as when the bundle was trained. Raises `DatasetError`.

    Which classes have no photos is told of the `split` that is used.
    """
    from foodscene.training.data import load, splits

    trained = bundle.card.recipe.get("settings", {})
    said = trained.get("data", {})
    opened = open_dataset(path, layout or said.get("layout"), labels)
    return load.load(
        renamed(opened, said.get("rename", {})),
        bundle.spec,
        crop_boxes=said.get("crop_boxes", False),
        fractions=tuple(said.get("fractions", (0.7, 0.2, 0.1))),
        seed=trained.get("seed", 0),
        stratified=said.get("stratified", not trained),
        used=[name for name in splits.SPLITS if name == split],
    )


def apart(loaded: "Sequence[Data]") -> "list[Data]":
    """Data sets with names of their own, and so their photos, where there are several."""
    if len(loaded) < 2:
        return list(loaded)
    found: list[Data] = []
    for one in loaded:
        times = sum(other.name == one.name for other in loaded[: len(found)])
        name = f"{one.name}-{times + 1}" if times else one.name
        found.append(replace(one, name=name, names=[f"{name}/{photo}" for photo in one.names]))
    return found


def rows(data: "Data", split: str) -> NDArray[np.int64]:
    """The photos of a split, or "all" that have a label, as rows of `data.pixels`. Raises `EvaluationError`."""
    if split not in SPLITS:
        raise EvaluationError(f"There is no split {split!r}: it is train, validation, test or all.")
    return np.flatnonzero(data.labels >= 0) if split == "all" else np.asarray(getattr(data, split))


def evaluate(
    engine: Engine,
    labels: Sequence[str],
    data: "Data",
    rows: NDArray[np.int64],
    familiar: Familiarity | None = None,
) -> Evaluation:
    """What an engine answers for the photos `data.pixels[rows]`, and which it knows by what is `familiar`.

    Classes are matched to `labels` by name; photos of classes that the model does not know are left out.
    Raises `EvaluationError` where none is known, or there are no photos.
    """
    labelled = match(data.classes, labels)[data.labels[rows]]
    unknown = Counter(data.classes[label] for label in data.labels[rows[labelled < 0]])
    rows, targets = rows[labelled >= 0], labelled[labelled >= 0]
    if not len(rows):
        raise EvaluationError(f"{data.name} has no photos to measure on.")
    names = [data.names[row] for row in rows]
    outputs = look(engine, data.pixels, rows)
    known = familiar.known(outputs.closeness) if familiar and outputs.closeness is not None else None
    closeness = None if known is None else outputs.closeness
    return Evaluation(
        tuple(labels),
        names,
        targets,
        outputs.probabilities,
        dict(unknown),
        contents=data.contents_of(rows),
        closeness=closeness,
        known=known,
    )


def labelled_rows(labels: Sequence[str], data: "Data", rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the rows whose photos show one of the labels."""
    return rows[match(data.classes, labels)[data.labels[rows]] >= 0]


class Measured(NamedTuple):
    """A bundle's answers for one data set or several."""

    photos: "list[Data]"
    each: dict[str, Evaluation]
    """By the data set's name."""
    whole: Evaluation


def measure(
    bundle: Bundle,
    engine: Engine,
    paths: Sequence[Path],
    split: str = "test",
    layout: str | None = None,
    labels: str | None = None,
) -> Measured:
    """Measure a bundle on the photos of a split of each data set, and on all of these together.

    Raises `DatasetError`, and `EvaluationError` where there is nothing to measure on.
    """
    if not paths:
        raise EvaluationError("There are no photos to measure on: name a folder, or an archive as downloaded.")
    photos = apart([photos_for(bundle, path, layout, labels, split=split) for path in paths])
    each = {one.name: evaluate(engine, bundle.labels, one, rows(one, split), bundle.familiar) for one in photos}
    return Measured(photos, each, join(list(each.values())))


def predict(engine: Engine, pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """An engine's probabilities for the photos `pixels[rows]`, shape (rows, labels)."""
    return look(engine, pixels, rows).probabilities


def look(engine: Engine, pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> Outputs:
    """All that an engine makes of the photos `pixels[rows]`."""
    starts = range(0, len(rows), _BATCH)
    shown = tracked(starts, len(starts), "What the model answers")
    batches = [engine.look(np.asarray(pixels[rows[start : start + _BATCH]])) for start in shown]
    return Outputs(
        np.concatenate([one.probabilities for one in batches]),
        _joined([one.features for one in batches]),
        _joined([one.closeness for one in batches]),
    )


def _joined(parts: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if present else None


def match(classes: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """For each class of a data set, the index of the label of the same name, or -1; shape (classes,).

    Where none has the same name, case, spaces and underscores make no difference. Raises `EvaluationError` where no
    class is known.
    """
    meant = matched(classes, labels)
    found = np.array([labels.index(meant[name]) if name in meant else -1 for name in classes], dtype=np.int64)
    if (found < 0).all():
        raise EvaluationError(
            f"The data set's classes ({_some(classes)}) are none of the model's labels ({_some(labels)}): "
            "the model was made for other photos."
        )
    return found


def milliseconds(bundle: Bundle, photos: int = 50) -> float:
    """The median time that the serving engine takes for one photo on one core; decoding is not in it."""
    engine = open_engine(bundle, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *bundle.spec.shape), dtype=np.uint8)
    seconds = []
    for _ in range(photos):
        began = time.perf_counter()
        engine.predict(pixels)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds) * 1000)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (" …" if len(names) > 6 else "")
