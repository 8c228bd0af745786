"""What is thought of an answer, by a bundle's card and what is familiar to it."""

from dataclasses import replace

import numpy as np
import pytest

from foodscene.models.bundle import read_bundle
from foodscene.models.familiarity import Familiarity
from foodscene.models.judgement import judge

FAMILIAR = Familiarity(np.eye(3, dtype=np.float32), np.linspace(0, 1, 11, dtype=np.float32), 0.05)


@pytest.fixture
def bundle(toy_bundle):
    found = read_bundle(toy_bundle / "colours")
    card = found.card.model_copy(update={"sure_above": 0.6, "set_above": 0.2})
    return replace(found, card=card, familiar=FAMILIAR)


def row(*probabilities):
    return np.array(probabilities, np.float32)


def test_sure_is_probable_and_known(bundle):
    assert judge(row(0.7, 0.2, 0.1), 0.5, bundle).sure
    assert not judge(row(0.5, 0.4, 0.1), 0.5, bundle).sure
    unknown = judge(row(0.7, 0.2, 0.1), 0.04, bundle)
    assert (unknown.sure, unknown.known) == (False, False)


def test_a_bundle_that_does_not_say_what_is_familiar_calls_nothing_known_or_not(bundle):
    found = judge(row(0.7, 0.2, 0.1), None, replace(bundle, familiar=None))
    assert found.sure
    assert (found.known, found.familiarity) == (None, None)
    assert set(found.as_json()) == {"sure", "set"}


def test_the_set_has_all_labels_from_a_probability_on_the_likeliest_first(bundle):
    first, second, _ = bundle.labels
    assert judge(row(0.3, 0.65, 0.05), 0.5, bundle).set == [second, first]
    strict = replace(bundle, card=bundle.card.model_copy(update={"set_above": 0.9}))
    assert judge(row(0.3, 0.65, 0.05), 0.5, strict).set == [second], "an empty set has the first label"


def test_nothing_is_promised_of_what_is_not_known_nor_without_a_threshold(bundle):
    assert judge(row(0.3, 0.65, 0.05), 0.01, bundle).set is None
    plain = replace(bundle, card=bundle.card.model_copy(update={"set_above": None}))
    assert "set" not in judge(row(0.3, 0.65, 0.05), 0.5, plain).as_json()
