"""Answers and figures are what they were. `python -m tests.golden` writes them anew, where they are meant to change."""

from pathlib import Path

import pytest

from tests.golden import answers, expected, photos


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    """All photos but the HEIC where it cannot be written: its answers are compared elsewhere."""
    return photos.draw()


@pytest.mark.slow
def test_the_service_answers_as_it_did(drawn: dict[str, bytes], tmp_path: Path) -> None:
    kept = expected.read("service")
    wanted = {name: kept[name] for name in drawn}
    assert not expected.differences(wanted, answers.of_the_service(drawn, tmp_path))


@pytest.mark.slow
def test_the_command_answers_as_it_did(drawn: dict[str, bytes], tmp_path: Path) -> None:
    wanted = expected.read("command")
    for of_model in wanted.values():
        of_model["lines"] = {name: of_model["lines"][name] for name in drawn}
    assert not expected.differences(wanted, answers.of_the_command(drawn, tmp_path))


@pytest.mark.slow
def test_a_training_leads_to_the_same_figures(tmp_path: Path) -> None:
    assert not expected.differences(expected.read("training"), answers.of_a_training(tmp_path))


def test_no_kept_answer_is_left_without_its_photo(drawn: dict[str, bytes]) -> None:
    assert len(drawn.keys() | {"phone.heic"}) == 40
    assert expected.read("service").keys() == drawn.keys() | {"phone.heic"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"label": "sea"}, {"label": "forest"}),
        ({"label": "sea"}, {"label": "sea", "rank": 1}),
        ([0.5, 0.25], [0.25, 0.5]),
        ([0.5, 0.25], [0.5]),
        ({"status": 200}, {"status": 200.0}),
        ({"sure": True}, {"sure": 1}),
        ({"loss": 0.5}, {"loss": 0.5002}),
        ({"loss": 0.5}, {"loss": float("nan")}),
    ],
)
def test_differences_are_seen(one: object, other: object) -> None:
    assert expected.differences(one, other)
    assert not expected.differences(one, one)


def test_numbers_may_differ_a_little() -> None:
    assert not expected.differences({"loss": [0.5]}, {"loss": [0.50005]})
