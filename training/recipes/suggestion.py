"""Which recipe suits somebody's own photos, where they name none."""

from typing import NamedTuple

FEW = 150
"""Photos per class below which a backbone is left as it is: so few would rather spoil than teach it."""
MANY = 3_000
"""Photos per class above which a network of one's own is worth its training."""


SUGGESTED = ("photos/few", "photos/some", "photos/many")
"""The recipes that are suggested, of the fewest photos first."""


class Suggestion(NamedTuple):
    """A recipe's name, and why."""

    recipe: str
    reason: str


def suggest(photos: int, classes: int) -> Suggestion:
    """The recipe for as many photos, of as many classes."""
    each = photos / max(1, classes)
    said = f"{photos:,} photos of {classes} classes, about {each:,.0f} each:"
    if each < FEW:
        return Suggestion("photos/few", f"{said} few, so only a head is trained, on the features of a MobileNetV2.")
    if each < MANY:
        return Suggestion("photos/some", f"{said} enough to fine-tune a MobileNetV2.")
    return Suggestion("photos/many", f"{said} enough to train a network from scratch.")
