"""What a table says of a photo, column by column."""

from typing import Any

from foodscene.app.inference.second_look import Looked
from foodscene.models.answer import Answer, Guess, answer
from foodscene.models.bundle import Bundle
from foodscene.models.prediction import Prediction

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
            *(
                "path",
                "label",
                "probability",
                "known",
                "familiarity",
                "sure",
                "set",
                "fallback",
                "fallback_probability",
            ),
            *further,
            *("width", "height", "error"),
            *((FEATURES,) if features else ()),
        )

    def row(self, path: str, size: tuple[int, int] | None, looked: Looked) -> Row:
        """Of a photo of this width and height, for what networks gave for it."""
        row = self._empty(path, size)
        found = answer(self._bundle, looked.outputs, self._top_k, looked.second)
        for place, (label, probability) in enumerate(found.predictions, 1):
            ending = "" if place == 1 else f"_{place}"
            row[f"label{ending}"], row[f"probability{ending}"] = label, round(probability, 6)
        row |= {"known": found.known, "sure": found.sure, "set": found.set}
        if found.fallback:
            row["fallback"], row["fallback_probability"] = found.fallback.label, round(found.fallback.probability, 6)
        row["familiarity"] = None if found.familiarity is None else round(found.familiarity, 4)
        if FEATURES in row and looked.outputs.features is not None:
            row[FEATURES] = [round(value, 6) for value in looked.outputs.features[0].tolist()]
        return row

    def answer(self, row: Row) -> Answer:
        """What a row says, unless it is of a photo that has no answer."""
        endings = ["", *(f"_{place}" for place in range(2, self._top_k + 1))]
        predictions = [Prediction(row[f"label{ending}"], row[f"probability{ending}"]) for ending in endings]
        named, guess = self._bundle.card.fallback, None
        if named and row["fallback"] is not None:
            guess = Guess(named.bundle, row["fallback"], row["fallback_probability"])
        return Answer(predictions, row["sure"], row["known"], row["familiarity"], row["set"], guess)

    def failed(self, path: str, size: tuple[int, int] | None, reason: str) -> Row:
        """Of a photo that has no answer."""
        return {**self._empty(path, size), "error": reason}

    def _empty(self, path: str, size: tuple[int, int] | None) -> Row:
        row: Row = dict.fromkeys(self.columns)
        row["path"] = path
        row["width"], row["height"] = size or (None, None)
        return row
