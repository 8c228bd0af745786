"""From a finished training to a bundle: the model, its labels, and a card that says what it can do."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from foodscene.models import fallback, saving
from foodscene.models.bundle import FAMILIAR, Bundle, read_bundle
from foodscene.models.card import Card, CardConformal, CardDataset, CardInput
from foodscene.models.engine import OnnxEngine, Outputs
from foodscene.models.familiarity import FamiliarityError
from foodscene.training.data.load import Data
from foodscene.training.evaluation import acquaintance, conformal
from foodscene.training.evaluation.evaluation import Evaluation
from foodscene.training.evaluation.outputs import look
from foodscene.training.loop.result import Result
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
        validation_photos=result.validation_photos,
        recipe={"name": recipe.name, "command": command, "settings": recipe.record()},
        dataset=CardDataset(name=data.name, fingerprint=data.fingerprint, counts=counts(data)),
        license=_license(recipe, start),
        created=datetime.now(UTC).replace(microsecond=0),
    )

    def complete(new: Bundle) -> None:
        """What only the bundle itself can tell: what is familiar to it, its sets of labels, and its figures."""
        engine = OnnxEngine(new)
        looked = acquaintance.validated(new, engine, [data])
        with contextlib.suppress(FamiliarityError):  # of a few photos it says nothing, and serves all the same
            familiar = acquaintance.learn(new, engine, [data], looked)
            (new.folder / FAMILIAR).write_bytes(familiar.as_bytes())
        said = new.card.model_copy(update={"conformal": _promised(data, looked, measured)})
        described, files = said, {"README.md": cards.readme(said, data.classes).encode()}
        if measured:
            known = with_known(measured, read_bundle(new.folder), data)
            described = cards.described(said, known)
            files.update(cards.files(described, known))
        for name, content in files.items():
            (new.folder / name).write_bytes(content)
        saving.write_card(new.folder, described)

    indices = data.validation if len(data.validation) else data.train
    sample = np.asarray(data.pixels[np.sort(indices[:SAMPLES])])
    return saving.write(folder, result.model, data.classes, card, sample, complete=complete)


def _promised(data: Data, looked: Sequence[Outputs], measured: Evaluation | None) -> CardConformal | None:
    """What the card says of sets of labels; by all photos' folds instead of the few that validated, if there are."""
    if measured and measured.folds:
        return conformal.fit([(measured.probabilities, measured.targets)])
    parts = acquaintance.by_part(data, data.validation)
    targets = [data.labels[acquaintance.spread(rows, acquaintance.MOST)] for rows in parts]
    return conformal.fit([(one.probabilities, labels) for one, labels in zip(looked, targets, strict=True)])


def with_known(measured: Evaluation, bundle: Bundle, data: Data) -> Evaluation:
    """The same answers for the test photos with which of these the bundle knows; not where folds answered them."""
    if measured.folds or not bundle.familiar:
        return measured
    looked = look(OnnxEngine(bundle), data.pixels, data.test)
    familiar = fallback.familiar(bundle, looked)
    return replace(measured, closeness=looked.closeness, familiar=familiar, known=familiar)


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
