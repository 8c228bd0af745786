"""The card of a bundle."""

import pytest
from pydantic import ValidationError

from foodscene.models.card import Card


def test_every_key_has_a_default() -> None:
    card = Card.model_validate_json("{}")
    assert card.schema_version == 2
    assert card.input is None


def test_later_versions_may_say_more_but_nothing_wrong() -> None:
    assert Card.model_validate({"mood": "cheerful"}) == Card()
    for wrong in ({"schema_version": 3}, {"input": {"height": 0, "width": 8}}, {"metrics": {"images": 10, "top1": 86}}):
        with pytest.raises(ValidationError):
            Card.model_validate(wrong)
