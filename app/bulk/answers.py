"""What a table says of a photo, column by column."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.models.bundle import Bundle
from foodscene.models.prediction import rank

Row = dict[str, Any]
"""Values by column: what a photo has none of is None."""

FEATURES = "features"


class Answers:
    """Rows for the photos that a bundle answers, with its `top_k` most probable labels, and its features if wanted."""

    def __init__(self, bundle: Bundle, top_k: int, *, features: bool = False) -> None:
        self._bundle = bundle
        self._top_k = min(top_k, len(bundle.labels))
        further = [name for place in range(2, self._top_k + 1) for name in (f"label_{place}", f"probability_{place}")]
        self.columns: tuple[str, ...] = (
            *("path", "label", "probability", "known", "familiarity", "sure", "set"),
            *further,
            *("width", "height", "error"),
            *((FEATURES,) if features else ()),
        )

    def row(self, path: str, size: tuple[int, int] | None, answer: NDArray[np.float32]) -> Row:
        """Of a photo of this width and height, for its probabilities and, where wanted, the features after them."""
        row = self._empty(path, size)
        count = len(self._bundle.labels)
        predictions = rank(answer[:count], self._bundle.labels, self._top_k)
        for place, (label, probability) in enumerate(predictions, 1):
            ending = "" if place == 1 else f"_{place}"
            row[f"label{ending}"], row[f"probability{ending}"] = label, round(probability, 6)
        row["sure"] = predictions[0].probability >= self._bundle.card.sure_above
        if FEATURES in row:
            row[FEATURES] = [round(value, 6) for value in answer[count:].tolist()]
        return row

    def failed(self, path: str, size: tuple[int, int] | None, reason: str) -> Row:
        """Of a photo that has no answer."""
        return {**self._empty(path, size), "error": reason}

    def _empty(self, path: str, size: tuple[int, int] | None) -> Row:
        row: Row = dict.fromkeys(self.columns)
        row["path"] = path
        row["width"], row["height"] = size or (None, None)
        return row
