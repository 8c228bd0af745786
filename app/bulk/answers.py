"""What a table says of a photo, column by column."""

from typing import Any

from foodscene.models.answer import answer
from foodscene.models.bundle import Bundle
from foodscene.models.engine import Outputs

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

    def row(self, path: str, size: tuple[int, int] | None, outputs: Outputs) -> Row:
        """Of a photo of this width and height, for what the engine gave for it."""
        row = self._empty(path, size)
        found = answer(self._bundle, outputs, self._top_k)
        for place, (label, probability) in enumerate(found.predictions, 1):
            ending = "" if place == 1 else f"_{place}"
            row[f"label{ending}"], row[f"probability{ending}"] = label, round(probability, 6)
        row |= {"known": found.known, "sure": found.sure, "set": found.set}
        row["familiarity"] = None if found.familiarity is None else round(found.familiarity, 4)
        if FEATURES in row and outputs.features is not None:
            row[FEATURES] = [round(value, 6) for value in outputs.features[0].tolist()]
        return row

    def failed(self, path: str, size: tuple[int, int] | None, reason: str) -> Row:
        """Of a photo that has no answer."""
        return {**self._empty(path, size), "error": reason}

    def _empty(self, path: str, size: tuple[int, int] | None) -> Row:
        row: Row = dict.fromkeys(self.columns)
        row["path"] = path
        row["width"], row["height"] = size or (None, None)
        return row
