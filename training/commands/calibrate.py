"""The command `calibrate`: a bundle's probabilities made honest, and what it knows told from what it does not."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from foodscene.models.terminal import say
from foodscene.training.commands.evaluate import BundleName, DataPaths, Labels, Layout, exists, find_named
from foodscene.training.terminal import quiet_stderr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from foodscene.models.bundle import Bundle
    from foodscene.models.card import Card, CardConformal
    from foodscene.models.engine import Engine
    from foodscene.models.fallback import Fallback
    from foodscene.models.familiarity import Familiarity
    from foodscene.training.data.load import Data
    from foodscene.training.evaluation.confidence import Confidence
    from foodscene.training.evaluation.fallback import Learned
    from foodscene.training.evaluation.inference import Measured


def calibrate(
    bundle: BundleName,
    data: DataPaths,
    layout: Layout = None,
    labels: Labels = None,
    out: Annotated[
        Path | None, typer.Option(show_default="its own", help="The folder for the calibrated bundle.")
    ] = None,
    right: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="The share of the answers called sure that is to be right.")
    ] = 0.95,
    fallback: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE",
            show_default="none",
            help="A bundle to ask where this one is not sure: its name beside this one or among those that ship, or "
            "its folder. Needs --strangers.",
        ),
    ] = None,
    strangers: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Photos of nothing that the model knows, to tell with --fallback what is known. May be repeated.",
        ),
    ] = None,
) -> None:
    """Fit a bundle's temperature, when its answers are called sure, its sets of labels, and what is familiar to it.

    With --fallback, also the rule by which both bundles together say which photos are known.

    Training does this by itself, but for the fallback; this is for bundles that were made elsewhere, and for another
    meaning of sure. At least 20 photos must validate: of a folder without splits a fifth does. A bundle of foodscene
    gets a layer for the temperature, the copy of another one a number in its card. Keras is not needed for that.
    """
    from dataclasses import replace

    from foodscene.models.bundle import Bundle, read_bundle
    from foodscene.models.engine import open_engine
    from foodscene.training.evaluation import inference

    found = find_named(bundle)
    target = _target(found, out)
    other = _fallback(found, target, fallback, strangers or [])
    found = replace(found, card=found.card.model_copy(update={"fallback": None}))  # which this makes anew
    engine = open_engine(found)
    for path in data:
        exists(path, "--data")
    measured = inference.measure(found, engine, data, "validation", layout, labels)
    fitted = _fit(found, engine, measured, right)
    if other and fitted.familiar is None:
        raise typer.BadParameter(f"the rule takes what is familiar. {fitted.unfamiliar}", param_hint="--fallback")
    learned: list[Learned] = []

    def complete(new: Bundle) -> None:
        _acquaint(new, fitted)
        if other:
            learned.append(_learn(read_bundle(new.folder), other, measured.photos, strangers or []))

    kept = _write(target, found, fitted, measured.photos[0], complete)
    say(
        f"Temperature {kept:.3f} (before: {kept / fitted.factor:.3f}), "
        f"fitted on {len(measured.whole.targets):,} validation photos.\n"
        f"{_sureness(fitted.certain, found.card.sure_above, right)}\n"
        f"{_promise(fitted.promised)}\n"
        f"{_acquaintance(fitted)}\n"
        f"{''.join(_second_look(target, other, one) for one in learned if other)}"
        f"Its card's figures are those of test photos: foodscene evaluate {bundle} --data … --save"
    )


class _Fitted(NamedTuple):
    """What validation photos say of a bundle."""

    factor: float
    """By which its temperature grows."""
    certain: "Confidence"
    promised: "CardConformal | None"
    card: "Card"
    familiar: "Familiarity | None"
    unfamiliar: str
    """Why it is not said what is familiar, where it is not."""


def _target(bundle: "Bundle", out: Path | None) -> Path:
    """Where the calibrated bundle goes. Refuses what cannot be calibrated, or written."""
    from foodscene.models import saving

    if out is None and not saving.is_ours(bundle.folder):
        raise typer.BadParameter(
            f"{bundle.name} was made elsewhere and stays as it is: say where its calibrated copy goes",
            param_hint="--out",
        )
    if bundle.output == "multi_label":
        raise typer.BadParameter(f"{bundle.name} answers each label by itself: it has no one temperature")
    target = out or bundle.folder
    saving.check_target(target)
    return target


def _fallback(bundle: "Bundle", target: Path, name: str | None, strangers: "Sequence[Path]") -> "Fallback | None":
    """The bundle that --fallback names: the one beside the bundle first. Raises `FallbackError` where it is unfit."""
    from foodscene.models.bundle import model_file, read_bundle
    from foodscene.models.fallback import Fallback, check
    from foodscene.training.datasets import labelled

    if (name is None) != (not strangers):
        given, lacking = ("--strangers", "--fallback") if name is None else ("--fallback", "--strangers")
        raise typer.BadParameter(f"it takes {lacking} too", param_hint=given)
    if name is None:
        return None
    for path in strangers:
        exists(labelled(path)[1], "--strangers")
    near = bundle.folder.parent / name
    other = read_bundle(near) if "/" not in name and model_file(near) else find_named(name)
    check(bundle, other)
    if other.name == target.name:
        raise typer.BadParameter(f"{target.name} cannot be its own fallback: name another folder", param_hint="--out")
    return Fallback(other)


def _fit(bundle: "Bundle", engine: "Engine", measured: "Measured", right: float) -> _Fitted:
    from foodscene.models.familiarity import FamiliarityError
    from foodscene.training.evaluation import acquaintance, calibration, confidence, conformal
    from foodscene.training.reports import model_card

    whole = measured.whole
    calibration.check(len(whole.targets))
    factor = calibration.fit(whole.probabilities, whole.targets)
    probabilities = calibration.temper(whole.probabilities, factor)
    sure_above = confidence.choose_threshold(probabilities, whole.targets, right)
    certain = confidence.measure_sure(probabilities, whole.right, sure_above)
    promised = conformal.fit(
        [(calibration.temper(one.probabilities, factor), one.targets) for one in measured.each.values()]
    )
    card = model_card.recalibrated(bundle.card, sure_above, len(whole.targets), promised)
    validated = acquaintance.validated(bundle, engine, measured.photos)
    try:
        familiar, unfamiliar = acquaintance.learn(bundle, engine, measured.photos, validated), ""
    except FamiliarityError as error:
        familiar, unfamiliar = None, str(error)
    return _Fitted(factor, certain, promised, card, familiar, unfamiliar)


def _acquaint(new: "Bundle", fitted: _Fitted) -> None:
    """Write into the folder of a new bundle what is familiar to it."""
    from dataclasses import replace

    from foodscene.models.bundle import FAMILIAR

    if fitted.familiar:
        (new.folder / FAMILIAR).write_bytes(replace(fitted.familiar, sha256=new.sha256).as_bytes())


def _learn(new: "Bundle", other: "Fallback", photos: "Sequence[Data]", strangers: "Sequence[Path]") -> "Learned":
    """Fit the rule of a new bundle, which knows what is familiar to it, and its fallback; put it into the card."""
    from foodscene.models import saving
    from foodscene.models.card import CardFallback
    from foodscene.models.engine import open_engine
    from foodscene.training.evaluation.fallback import learn
    from foodscene.training.evaluation.outputs import Looking

    looking = Looking(new, open_engine(new), (other, open_engine(other.bundle)))
    learned = learn(looking, photos, strangers)
    named = CardFallback(bundle=other.bundle.name, rule=learned.rule)
    saving.write_card(new.folder, new.card.model_copy(update={"fallback": named}))
    return learned


def _write(
    target: Path, bundle: "Bundle", fitted: _Fitted, photos: "Data", complete: "Callable[[Bundle], None]"
) -> float:
    """Write the calibrated bundle, and give its temperature."""
    import importlib.util

    import numpy as np

    from foodscene.models import saving
    from foodscene.models.engine import KerasEngine

    if bundle.card.versions and importlib.util.find_spec("keras"):  # what wrote it is named: it is ours
        with quiet_stderr():
            from foodscene.training.networks import temperature

            model = temperature.calibrated(KerasEngine(bundle).model, fitted.factor)
        sample = np.asarray(photos.pixels[:16])
        saving.write(target, model, bundle.labels, fitted.card, sample, _others(bundle), complete)
        return temperature.temperature_of(model)
    kept = bundle.card.temperature * fitted.factor
    card = fitted.card.model_copy(update={"temperature": kept})
    saving.write_copy(target, bundle, card, _others(bundle), complete)
    return kept


def _others(bundle: "Bundle") -> dict[str, str | bytes]:
    """What an evaluation left in a bundle, which `saving.write` does not make itself."""
    others = (bundle.folder / name for name in ("README.md", "confusion.json"))
    return {path.name: path.read_bytes() for path in others if path.is_file()}


def _sureness(certain: "Confidence", before: float, right: float) -> str:
    """From where on answers are sure, of how many photos that is, and what it was before."""
    from foodscene.training.evaluation.confidence import fewest

    if certain.above == 1:
        return (
            f"Sure of nothing (before: from {before:.4f} on): these photos do not show that {right:.0%} of any sure "
            f"answers are right, for which it takes {fewest(right):,} right ones at least."
        )
    sure, of_these = certain.sure, certain.right
    return (
        f"Sure from a probability of {certain.above:.4f} on (before: {before:.4f}): {sure.value:.1%} of them "
        f"({sure.low:.1%} to {sure.high:.1%}), of which {of_these.value:.1%} are right "
        f"({of_these.low:.1%} to {of_these.high:.1%})."
    )


def _promise(promised: "CardConformal | None") -> str:
    if promised is None:
        return "Sets of labels are not promised: a data set has too few photos."
    share = f"{promised.coverage * 100:.0f} of 100"
    return f"Sets of labels hold the right one in {share}: those from a probability of {1 - promised.quantile:.4f} on."


def _acquaintance(fitted: _Fitted) -> str:
    familiar = fitted.familiar
    if familiar is None:
        return f"What is familiar is not said: {fitted.unfamiliar}"
    training, validation = familiar.photos
    return (
        f"Known are photos from a closeness of {familiar.threshold:.4f} on to one of {len(familiar.prototypes):,} "
        f"prototypes, of {training:,} training photos: at least 95 of 100 of the {validation:,} validation photos."
    )


def _second_look(target: Path, other: "Fallback", learned: "Learned") -> str:
    from foodscene.models.bundle import model_file

    name = other.bundle.name
    said = (
        f"Of {learned.asked.value:.1%} of the validation photos {name} is asked; known are then "
        f"{learned.known.value:.1%} of all of them, and {learned.strangers.value:.1%} of the strangers.\n"
    )
    if not model_file(target.absolute().parent / name):
        said += f"The service asks the {name} that lies beside {target.name}: put a copy of it there.\n"
    return said
