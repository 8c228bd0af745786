"""The fallback: another bundle, asked about photos of which a bundle is not sure, says whether it knows them.

Three shares from 0 to 1 decide together: the probability of the bundle's first label, the photo's familiarity, and the
probability that the fallback gives to its `foreign` labels, of what is nothing to the bundle. The rule is a logistic
regression with a ridge, fitted by Newton's method (Hastie, Tibshirani and Friedman, "The Elements of Statistical
Learning", 2009, section 4.4.1; le Cessie and van Houwelingen, "Ridge Estimators in Logistic Regression", 1992). Its
intercept is then moved so that validation photos stay known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.models.bundle import Bundle, BundleError, model_file, read_bundle
from foodscene.models.card import CardFallbackRule
from foodscene.models.engine import Engine, EngineKind, Outputs, open_engine
from foodscene.models.familiarity import LEAST, kept
from foodscene.models.prediction import is_sure

_SPREAD = 10.0
"""The standard deviation of a weight before any photo is seen: a share of 1 seldom says more than e to the 10th."""
_ROUNDS, _HALVINGS, _CLOSE = 50, 20, 1e-9


class FallbackError(BundleError):
    """A bundle that cannot be another's fallback, or photos that no rule can be fitted on. Its text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Fallback:
    """A bundle as another one's fallback."""

    bundle: Bundle
    _foreign: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        named = set(self.bundle.card.foreign)
        places = [place for place, label in enumerate(self.bundle.labels) if label in named]
        object.__setattr__(self, "_foreign", np.array(places, np.int64))

    def foreign(self, outputs: Outputs) -> NDArray[np.float64]:
        """The probability of its `foreign` labels together, 0 to 1, shape (n,)."""
        if not len(outputs.probabilities):
            return np.empty(0)
        return np.asarray(outputs.probabilities[:, self._foreign].sum(axis=1, dtype=np.float64))


class Second(NamedTuple):
    """What a fallback gave for the photos that it was asked about, in their order."""

    fallback: Fallback
    outputs: Outputs


def check(bundle: Bundle, other: Bundle | None, name: str = "") -> None:
    """Make sure that the other bundle can be this one's fallback; None where there is none of that `name`.

    Raises `FallbackError` where it cannot.
    """
    if other is None:
        raise FallbackError(f"There is no {name} beside {bundle.name} that can be used: put that bundle there.")
    if other.sha256 == bundle.sha256 or other.name == bundle.name:
        raise FallbackError(f"{other.name} cannot be its own fallback: name another bundle.")
    if other.card.fallback:
        raise FallbackError(
            f"{other.name} cannot be a fallback, as it has one of its own, {other.card.fallback.bundle}. "
            "Name that one, or another bundle."
        )
    if not other.card.foreign:
        raise FallbackError(
            f"{other.name} cannot be a fallback, as it does not say which of its labels are nothing that "
            f'{bundle.name} stands for: name them in its card.json, {{"foreign": ["LABEL", …]}}.'
        )


def beside(bundle: Bundle) -> Fallback | None:
    """The fallback that a bundle's card names, read from the folder beside it; None where none is named.

    Nothing of its model is run. Raises `BundleError` where it is missing or cannot be used.
    """
    if bundle.card.fallback is None:
        return None
    folder = bundle.folder.parent / bundle.card.fallback.bundle
    other = read_bundle(folder) if model_file(folder) else None
    check(bundle, other, folder.name)
    return Fallback(other) if other else None


def open_beside(bundle: Bundle, kind: EngineKind = "auto", threads: int = 0) -> tuple[Fallback, Engine] | None:
    """The fallback beside a bundle with its engine; None where there is none that could be asked."""
    try:
        found = beside(bundle)
        return (found, open_engine(found.bundle, kind, threads)) if found else None
    except BundleError:
        return None


def familiar(bundle: Bundle, outputs: Outputs) -> NDArray[np.bool_] | None:
    """Which photos are familiar enough to be known by that alone, shape (n,); None where the bundle does not say."""
    if bundle.familiar is None or outputs.closeness is None:
        return None
    return bundle.familiar.known(outputs.closeness)


def sure(bundle: Bundle, outputs: Outputs) -> NDArray[np.bool_]:
    """Which answers are sure, shape (n,): the first label is probable enough, and the photo familiar.

    The bundle's own network alone decides that.
    """
    probable = is_sure(outputs.probabilities.max(axis=1), bundle.card.sure_above)
    found = familiar(bundle, outputs)
    return np.asarray(probable if found is None else probable & found)


def asks(bundle: Bundle, outputs: Outputs) -> NDArray[np.bool_]:
    """About which photos a bundle asks its fallback, shape (n,): those of which it is not sure, if it has one."""
    if bundle.card.fallback is None:
        return np.zeros(len(outputs.probabilities), np.bool_)
    return ~sure(bundle, outputs)


def known(bundle: Bundle, outputs: Outputs, second: Second | None = None) -> NDArray[np.bool_] | None:
    """Which photos are known, shape (n,); None where the bundle does not say.

    `second` is what its fallback gave for those that it `asks` about; without it, familiarity alone decides.
    """
    if second is None or bundle.card.fallback is None:
        return familiar(bundle, outputs)
    asked = asks(bundle, outputs)
    found = ~asked
    found[asked] = decide(bundle.card.fallback.rule, shares(bundle, outputs, asked, second))
    return found


def shares(bundle: Bundle, outputs: Outputs, asked: NDArray[np.bool_], second: Second) -> NDArray[np.float64]:
    """What a rule takes of the photos that the fallback was `asked` about, each 0 to 1: shape (asked photos, 3).

    The first label's probability, the photo's familiarity, and the probability of the fallback's foreign labels.
    Raises `FallbackError` for a bundle that does not say what is familiar to it.
    """
    if bundle.familiar is None or outputs.closeness is None:
        raise FallbackError(f"{bundle.name} does not say what is familiar to it, which the rule of a fallback takes.")
    probability = outputs.probabilities[asked].max(axis=1)
    familiarity = bundle.familiar.familiarity(outputs.closeness[asked])
    return np.stack([probability, familiarity, second.fallback.foreign(second.outputs)], axis=1).astype(np.float64)


def decide(rule: CardFallbackRule, given: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which photos are known by a rule, shape (n,), of what `shares` gives for them."""
    return np.asarray(given @ _weights(rule) + rule.intercept >= 0)


def fit(
    inside: Sequence[NDArray[np.float64]], outside: NDArray[np.float64], sure_of: Sequence[int]
) -> CardFallbackRule:
    """The rule that tells validation photos from those of strangers, and knows `familiarity.kept` of each data set.

    `inside` has the `shares` of each data set's validation photos that the fallback is asked about, `outside` those of
    strangers; of `sure_of` more photos of each data set the bundle is sure, so that these are known anyway.
    Raises `FallbackError` where there are too few photos.
    """
    photos = sum(map(len, inside)) + sum(sure_of)
    if photos < LEAST or len(outside) < LEAST:
        raise FallbackError(
            f"{photos} validation photos, and {len(outside)} photos of strangers of which the bundle is not sure, are "
            f"too few to fit a rule on: at least {LEAST} of each are needed. Name more with --data and --strangers."
        )
    found = np.concatenate([*inside, outside])
    targets = np.arange(len(found)) < len(found) - len(outside)
    weights = [round(weight, 4) for weight in logistic(found, targets)]
    scores = [np.sort(part @ np.array(weights[1:]))[::-1] for part in inside]
    places = [kept(len(part) + more) - more for part, more in zip(scores, sure_of, strict=True)]
    needed = [-float(part[place - 1]) for part, place in zip(scores, places, strict=True) if place > 0]
    # Rounded up, so that sums taken in another order do not lose the photo whose score it is.
    intercept = math.ceil(max(needed) * 1e4 + 0.1) / 1e4 if needed else weights[0]
    return CardFallbackRule(intercept=intercept, probability=weights[1], familiarity=weights[2], foreign=weights[3])


def logistic(given: NDArray[np.float64], targets: NDArray[np.bool_]) -> list[float]:
    """The intercept and weights of a logistic regression with a ridge on the weights, both classes counted alike.

    `given` has shape (n, weights), `targets` (n,).
    """
    rows = np.concatenate([np.ones((len(given), 1)), given], axis=1)
    counts = {True: max(1, int(targets.sum())), False: max(1, int((~targets).sum()))}
    counted = np.where(targets, 1 / counts[True], 1 / counts[False]) * len(targets) / 2
    ridge = np.diag([1e-6, *[1 / _SPREAD**2] * given.shape[1]])
    signs = np.where(targets, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> float:
        return float(counted @ np.logaddexp(0, -signs * (rows @ weights)) + weights @ ridge @ weights / 2)

    found = np.zeros(rows.shape[1])
    for _ in range(_ROUNDS):
        probability = 0.5 * (1 + np.tanh(rows @ found / 2))
        slope = rows.T @ (counted * (probability - targets)) + ridge @ found
        curve = (rows * (counted * probability * (1 - probability))[:, None]).T @ rows + ridge
        step = np.linalg.solve(curve, slope)
        # Newton's step may overshoot where photos are told apart almost without fail.
        lengths = (0.5**halving for halving in range(_HALVINGS))
        length = next((one for one in lengths if loss(found - one * step) <= loss(found)), 0.0)
        found = found - length * step
        if np.abs(length * step).max() < _CLOSE:
            break
    return [float(weight) for weight in found]


def _weights(rule: CardFallbackRule) -> NDArray[np.float64]:
    return np.array([rule.probability, rule.familiarity, rule.foreign])
