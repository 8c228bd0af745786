"""From a finished training to a bundle: the model, its labels, and a card that says what it can do."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from foodscene.models import saving
from foodscene.models.bundle import Bundle
from foodscene.models.card import Card, CardDataset, CardInput
from foodscene.training.data.load import Data
from foodscene.training.evaluation.evaluation import Evaluation
from foodscene.training.loop.loop import Result
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.reports import model_card as cards

SAMPLES = 16
"""Photos on which the compiled model is compared with Keras."""


def export(
    result: Result,
    recipe: Recipe,
    data: Data,
    folder: Path,
    command: str,
    *,
    measured: Evaluation | None,
    start: Bundle | None = None,
) -> Bundle:
    """Write the bundle of a training to `folder`, with the figures that were `measured`.

    `command` is what trains it again, `start` what it went on from.
    """
    card = Card(
        name=folder.name,
        title=recipe.title,
        domain=recipe.domain,
        description=recipe.about,
        caution=recipe.caution,
        input=CardInput.model_validate(recipe.input.spec._asdict()),
        sure_above=result.sure_above,
        recipe={"name": recipe.name, "command": command, "settings": recipe.record()},
        dataset=CardDataset(name=data.name, fingerprint=data.fingerprint, counts=counts(data)),
        license=_license(recipe, start),
        created=datetime.now(UTC).replace(microsecond=0),
    )
    files: dict[str, str | bytes] = {"README.md": cards.readme(card, data.classes)}
    if measured:
        card = cards.described(card, measured)
        files.update(cards.files(card, measured))
    indices = data.validation if len(data.validation) else data.train
    sample = np.asarray(data.pixels[np.sort(indices[:SAMPLES])])
    result.model(sample[:1].astype(np.float32))  # on JAX, Keras exports no model that was never called so
    return saving.write(folder, result.model, data.classes, card, sample, files)


def _license(recipe: Recipe, start: Bundle | None) -> str:
    """The recipe's, and of what the network went on from."""
    derived = [f"Derived from the bundle {start.name}. {start.card.license}".strip()] if start else []
    return " ".join(filter(None, (recipe.license, *derived)))


def measure(result: Result, data: Data) -> Evaluation | None:
    """The answers for the test split; None where there is none."""
    if not len(data.test):
        return None
    names = [data.names[row] for row in data.test]
    contents = data.contents_of(data.test)
    return Evaluation(data.classes, names, data.labels[data.test], result.probabilities, contents=contents)


def counts(data: Data) -> dict[str, int]:
    """Photos per split."""
    return {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)}
