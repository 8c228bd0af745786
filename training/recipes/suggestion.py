"""Which recipe suits somebody's own photos, where they name none."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from foodscene.training.datasets import open_dataset

FEW = 150
"""Photos per class below which a backbone is left as it is: so few would rather spoil than teach it."""
MANY = 3_000
"""Photos per class above which a network of one's own is worth its training."""


class Choice(NamedTuple):
    """A recipe's name, and why."""

    recipe: str
    reason: str


def choose(data: Sequence[Path]) -> Choice:
    """The recipe for as many photos and classes as there are. Raises `DatasetError` where they cannot be read."""
    datasets = [open_dataset(path) for path in data]
    photos = sum(sample.label is not None for dataset in datasets for sample in dataset.samples)
    classes = sum(len(dataset.classes) for dataset in datasets)
    each = photos / max(1, classes)
    said = f"{photos:,} photos of {classes} classes, about {each:,.0f} each:"
    if each < FEW:
        return Choice("photos/few", f"{said} few, so only a head is trained, on the features of a MobileNetV2.")
    if each < MANY:
        return Choice("photos/some", f"{said} enough to fine-tune a MobileNetV2.")
    return Choice("photos/many", f"{said} enough to train a network from scratch.")
