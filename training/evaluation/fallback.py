"""The rule by which a bundle and its fallback say what is known: `models.fallback`, fitted on photos of data sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foodscene.models import fallback
from foodscene.models.card import CardFallbackRule
from foodscene.training.data.load import Data
from foodscene.training.evaluation import inference, metrics
from foodscene.training.evaluation import out_of_distribution as ood
from foodscene.training.evaluation.acquaintance import MOST, by_part, spread
from foodscene.training.evaluation.metrics import Share
from foodscene.training.evaluation.outputs import Looking


class Learned(NamedTuple):
    """A rule, and what it makes of the photos that it was fitted on."""

    rule: CardFallbackRule
    asked: Share
    """The validation photos about which the fallback is asked."""
    known: Share
    """The validation photos that are called known, those of which the bundle is sure among them."""
    strangers: Share
    """The photos of strangers that are called known."""


def learn(looking: Looking, photos: Sequence[Data], strangers: Sequence[Path]) -> Learned:
    """The rule for a bundle with its fallback, fitted on the validation photos of data sets and photos of strangers.

    Of each at most `MOST` photos count. Raises `FallbackError` where they are too few, and `DatasetError` and
    `EvaluationError` for what is no data set of strangers.
    """
    bundle = looking.bundle
    inside, sure = [], []
    for data in photos:
        for rows in by_part(data, inference.labelled_rows(bundle.labels, data, data.validation)):
            some = spread(rows, MOST)
            inside.append(looking.at_rows(data, some).shares(bundle))
            sure.append(len(some) - len(inside[-1]))
    outside = [ood.see(looking, path, MOST)[1] for path in strangers]
    strange = np.concatenate([seen.shares(bundle) for seen in outside])
    rule = fallback.fit(inside, strange, sure)
    asked = np.concatenate(inside)
    validated, strangers_seen = len(asked) + sum(sure), sum(len(seen.outputs.probabilities) for seen in outside)
    taken_for_known = strangers_seen - len(strange) + int(fallback.decide(rule, strange).sum())
    return Learned(
        rule,
        metrics.share(len(asked), validated),
        metrics.share(sum(sure) + int(fallback.decide(rule, asked).sum()), validated),
        metrics.share(taken_for_known, strangers_seen),
    )
