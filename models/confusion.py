"""Which labels a model takes for which: counts of test photos, and the most frequent mistakes."""

from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError, model_validator

from foodscene.models.bundle import CONFUSION, Bundle, read_part

_LARGEST_MATRIX = 40
_MISTAKES_NAMED = 5
_HEATS = 10


class Mistake(NamedTuple):
    """What was taken for what, on how many photos, out of how many."""

    true: str
    predicted: str
    photos: int
    out_of: int


class Confusion(BaseModel):
    """`confusion.json` of a bundle: counts of test photos, a row for each true label, a column for each predicted."""

    labels: list[str]
    matrix: list[list[int]]

    @model_validator(mode="after")
    def _square(self) -> "Confusion":
        if any(len(row) != len(self.labels) for row in self.matrix) or len(self.matrix) != len(self.labels):
            raise ValueError("the matrix needs a row and a column for each label")
        return self

    @classmethod
    def read(cls, bundle: Bundle) -> "Confusion | None":
        """The confusion matrix of a bundle; None where it has none that makes sense. Raises `BundleError`."""
        content = read_part(bundle.folder, CONFUSION)
        try:
            return cls.model_validate_json(content) if content else None
        except ValidationError:
            return None

    def mistakes(self, most: int = _MISTAKES_NAMED) -> list[Mistake]:
        """The most frequent mistakes, the most frequent one first; of equals, in the order of the labels."""
        found = [
            Mistake(true, predicted, count, sum(row))
            for true, row in zip(self.labels, self.matrix, strict=True)
            for predicted, count in zip(self.labels, row, strict=True)
            if count and predicted != true
        ]
        return sorted(found, key=lambda mistake: -mistake.photos)[:most]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows with their cells, each a count and its share of the row in tenths; none above forty labels."""
        if len(self.labels) > _LARGEST_MATRIX:
            return []
        return [
            {
                "label": label,
                "cells": [{"count": count, "heat": -(-_HEATS * count // max(1, sum(row)))} for count in row],
            }
            for label, row in zip(self.labels, self.matrix, strict=True)
        ]
