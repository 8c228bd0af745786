"""A bundle as an object of Python: load it, ask it about photos, measure it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foodscene.models.answer import Answer, Answerer
from foodscene.models.bundle import SHIPPED, Bundle, find_bundle
from foodscene.models.engine import EngineKind, open_engine

__all__ = ["Answer", "Classifier", "evaluate", "load", "predict"]

if TYPE_CHECKING:
    from foodscene.training.evaluation.evaluation import Evaluation


class Classifier:
    """A bundle with its engine, ready to answer. Calls from several threads are safe."""

    def __init__(self, bundle: Bundle, engine: EngineKind = "auto", threads: int = 0) -> None:
        """Open a bundle that was read; `threads` is how many cores an answer may take, 0 for all of them.

        Raises `BundleError` where it cannot be run here.
        """
        self.bundle = bundle
        self.engine = open_engine(bundle, engine, threads)
        self._answerer = Answerer(bundle, self.engine, engine, threads)

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in the order of the model's output."""
        return self.bundle.labels

    def predict(self, photo: str | Path | bytes, top_k: int = 5) -> Answer:
        """The `top_k` most probable labels of a photo: a path, or the bytes of a JPEG, PNG, WebP, HEIC ….

        Raises `PhotoError` for what is no photo or is too large, `OSError` for a file that cannot be read, and
        `ValueError` for a `top_k` below 1.
        """
        if top_k < 1:
            raise ValueError(f"top_k: give a whole number from 1 on, not {top_k}.")
        return self._answerer.answer(Path(photo) if isinstance(photo, str) else photo, top_k)

    def __repr__(self) -> str:
        return f"<Classifier {self.bundle.name}: {len(self.labels)} labels>"


def load(bundle: str | Path = "") -> Classifier:
    """A bundle by its folder, or by its name among those that ship; the default one where none is named.

    Raises `BundleError` where there is none, or it cannot be used.
    """
    return Classifier(find_bundle(str(bundle), SHIPPED))


def predict(photo: str | Path | bytes, bundle: str | Path = "", top_k: int = 5) -> Answer:
    """What is in a photo, for a single one: `load` once where there are more. Raises what `load` and `predict` do."""
    return load(bundle).predict(photo, top_k)


def evaluate(
    bundle: Classifier | str | Path,
    data: str | Path | Sequence[str | Path],
    split: str = "test",
    *,
    layout: str | None = None,
    labels: str | None = None,
) -> "Evaluation":
    """Measure a bundle on labelled photos, folders or archives: "test", "validation", "train", or "all" of them.

    `layout` and `labels` say how the photos are laid out and where their labels are, where that is not found out.

    They are split as they were when the bundle was trained. Every figure is a property of what is returned: `top1` with
    its 95 % interval, `calibration_error`, `per_class`, `matrix` …. Needs the extra `train`. Raises `DatasetError` and
    `EvaluationError`.
    """
    from foodscene.training.evaluation import inference

    classifier = bundle if isinstance(bundle, Classifier) else load(bundle)
    paths = [Path(path) for path in ([data] if isinstance(data, str | Path) else data)]
    return inference.measure(classifier.bundle, classifier.engine, paths, split, layout, labels).whole
