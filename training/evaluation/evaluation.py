"""What a model makes of photos that it never saw, and every figure that follows from it."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.errors import FoodsceneError
from foodscene.models.files import write
from foodscene.training.evaluation import metrics
from foodscene.training.evaluation.metrics import TOP, Bin, ClassFigures, Share


class EvaluationError(FoodsceneError, ValueError):
    """Photos on which a model cannot be measured. Its text says why."""


class Misclassified(NamedTuple):
    """A photo with another label than the one predicted, and how sure the model was."""

    photo: int
    name: str
    true: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class Evaluation:
    """A model's answers for labelled photos. All figures are computed from them."""

    labels: tuple[str, ...]
    names: list[str]
    """Of the photos, n of them."""
    targets: NDArray[np.int64]
    """Shape (n,): indices into `labels`."""
    probabilities: NDArray[np.float32] = field(repr=False)
    """Shape (n, labels)."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many photos there were of each class that the model does not know: they are not among the n."""
    folds: int = 0
    """In how many parts the photos were answered, each by a network trained without it; 0: one network answered all."""
    contents: tuple[str, ...] = ()
    """What the photos are known by whatever they are called, n of them; empty where that is not known."""

    closeness: NDArray[np.float32] | None = field(default=None, repr=False)
    """Shape (n,): how close each photo is to what is familiar (`models.familiarity`); None where that is not said."""
    familiar: NDArray[np.bool_] | None = field(default=None, repr=False)
    """Shape (n,): which photos are close enough to be known by that alone; None as `closeness`. Sure takes that."""
    known: NDArray[np.bool_] | None = field(default=None, repr=False)
    """Shape (n,): which photos are called known, by the fallback too where there is one; None as `closeness`."""

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable label of each photo, shape (n,)."""
        return np.asarray(np.argmax(self.probabilities, axis=1), dtype=np.int64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which photos are predicted rightly, shape (n,)."""
        return np.asarray(self.predicted == self.targets)

    @property
    def top1(self) -> Share:
        return metrics.share(int(self.right.sum()), len(self.targets))

    @property
    def top5(self) -> Share | None:
        """None where there are no more than five labels."""
        if len(self.labels) <= TOP:
            return None
        hits = metrics.right_within(self.probabilities, self.targets, TOP)
        return metrics.share(int(hits.sum()), len(self.targets))

    @property
    def loss(self) -> float:
        return metrics.log_loss(self.probabilities, self.targets)

    @cached_property
    def bins(self) -> list[Bin]:
        """Of the reliability diagram."""
        return metrics.reliability(self.probabilities, self.right)

    @property
    def calibration_error(self) -> float:
        return metrics.calibration_error(self.bins)

    @cached_property
    def matrix(self) -> NDArray[np.int64]:
        """The confusion matrix in the order of `labels`, shape (labels, labels)."""
        return metrics.confusion(self.predicted, self.targets, len(self.labels))

    @cached_property
    def order(self) -> list[int]:
        """The labels that are on a photo or predicted of one, those that are confused side by side."""
        seen = np.flatnonzero(self.matrix.sum(axis=0) + self.matrix.sum(axis=1))
        return [int(index) for index in seen[metrics.together(self.matrix[np.ix_(seen, seen)])]]

    @cached_property
    def per_class(self) -> dict[str, ClassFigures]:
        """Of the labels that are on at least one photo."""
        figures = zip(self.labels, metrics.per_class(self.matrix), strict=True)
        return {label: one for label, one in figures if one.photos}

    def mistakes(self, most: int = 24) -> list[Misclassified]:
        """The wrong answers, those first of which the model was surest."""
        wrong = np.flatnonzero(~self.right)
        sure = self.probabilities[wrong, self.predicted[wrong]]
        return [
            Misclassified(
                index,
                self.names[index],
                self.labels[self.targets[index]],
                self.labels[self.predicted[index]],
                float(self.probabilities[index, self.predicted[index]]),
            )
            for index in wrong[np.argsort(-sure, kind="stable")][:most].tolist()
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything that is measured, for programs."""
        top5 = self.top5
        return {
            "photos": len(self.targets),
            "folds": self.folds,
            "top1": self.top1._asdict(),
            "top5": top5._asdict() if top5 else None,
            "loss": self.loss,
            "calibration_error": self.calibration_error,
            "calibration_floor": metrics.calibration_floor(self.probabilities),
            "per_class": {
                label: {**one._asdict(), "recall": one.recall._asdict()} for label, one in self.per_class.items()
            },
            "confusion": self.confusion(),
            "reliability": [one._asdict() for one in self.bins],
            "mistakes": [mistake._asdict() for mistake in self.mistakes()],
        }

    def confusion(self) -> dict[str, Any]:
        """The confusion matrix with its labels, those that are confused side by side: what `confusion.json` holds."""
        matrix = self.matrix[np.ix_(self.order, self.order)]
        return {"labels": [self.labels[index] for index in self.order], "matrix": matrix.tolist()}

    def confusion_csv(self) -> str:
        """The same as a table: a row for each true label, a column for each predicted one."""
        table, text = self.confusion(), io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["true \\ predicted", *table["labels"]])
        writer.writerows([label, *row] for label, row in zip(table["labels"], table["matrix"], strict=True))
        return text.getvalue()

    def save(self, path: Path) -> None:
        """Keep the answers in one compressed `.npz` file, without pickles."""
        file = io.BytesIO()
        texts = {"labels": self.labels, "names": self.names, "contents": self.contents}
        encoded = {key: np.frombuffer("\n".join(text).encode(), np.uint8) for key, text in texts.items()}
        arrays = {"truths": self.targets.astype(np.int32), "probabilities": self.probabilities, **encoded}
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        write(path, file.getvalue())


def load(path: Path) -> Evaluation:
    """Answers as `Evaluation.save` keeps them. Raises `EvaluationError` where the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            texts = {key: file[key].tobytes().decode() for key in ("labels", "names", "contents") if key in file}
            contents = texts.get("contents")  # which answers from before it was kept have not
            return Evaluation(
                tuple(texts["labels"].split("\n")),
                texts["names"].split("\n"),
                file["truths"].astype(np.int64),
                file["probabilities"],
                contents=tuple(contents.split("\n")) if contents else (),
            )
    except FileNotFoundError:
        raise EvaluationError(f"{path.parent} keeps no answers: it has no {path.name}.") from None
    except (OSError, ValueError, KeyError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}") from error


def join(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Answers of one model for several data sets, as one."""
    return Evaluation(
        evaluations[0].labels,
        [name for one in evaluations for name in one.names],
        np.concatenate([one.targets for one in evaluations]),
        np.concatenate([one.probabilities for one in evaluations]),
        dict(sum((Counter(one.left_out) for one in evaluations), Counter())),
        closeness=_joined([one.closeness for one in evaluations]),
        familiar=_joined([one.familiar for one in evaluations]),
        known=_joined([one.known for one in evaluations]),
        contents=tuple(content for one in evaluations for content in one.contents)
        if all(one.contents for one in evaluations)
        else (),
    )


def in_several(evaluations: Sequence[Evaluation]) -> int:
    """How many photos are there again in another of the evaluations, told by what is in them."""
    sets = [set(one.contents) for one in evaluations]
    return sum(map(len, sets)) - len(set[str]().union(*sets))


def _joined(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if len(present) == len(parts) else None


def in_common(first: Evaluation, second: Evaluation, *, by_name: bool) -> NDArray[np.int64]:
    """The photos that both answered under the same label, as rows of the first and of the second, shape (photos, 2).

    They are told by what is in them; by their names, `by_name`, where an older record does not say that.
    """
    if not (first.contents and second.contents) and not by_name:
        return np.empty((0, 2), np.int64)
    places = {key: row for row, key in enumerate(_keys(first, second))}
    pairs = [(places[key], row) for row, key in enumerate(_keys(second, first)) if key in places]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _keys(one: Evaluation, other: Evaluation) -> list[tuple[str, str, int]]:
    """A photo, its label, and how many of them came before it: copies lie in one split."""
    known = one.contents if one.contents and other.contents else one.names
    times: Counter[tuple[str, str]] = Counter()
    found = []
    for photo, target in zip(known, one.targets, strict=True):
        key = (photo, one.labels[target])
        found.append((*key, times[key]))
        times[key] += 1
    return found
