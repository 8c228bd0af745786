import pytest

from foodscene.models.text import duration, estimate, percent, spell, with_article


def test_shares_are_for_people() -> None:
    assert [percent(share) for share in (0, 0.004, 0.5, 0.994, 0.996, 1)] == [
        "<1%",
        "<1%",
        "50%",
        "99%",
        ">99%",
        "100%",
    ]


def test_labels_are_for_people() -> None:
    assert spell("apple_pie") == "apple pie"


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("lion", "a lion"),
        ("axolotl", "an axolotl"),
        ("Angora", "an Angora"),
        ("unicycle", "a unicycle"),
        ("European gallinule", "a European gallinule"),
        ("hourglass", "an hourglass"),
        ("sunglasses", "sunglasses"),
        ("compass", "a compass"),
        ("octopus", "an octopus"),
        ("", "a "),
    ],
)
def test_labels_in_a_sentence_have_their_article(label: str, said: str) -> None:
    assert with_article(label) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.4, "4 s"), (99, "99 s"), (130, "2 min"), (5940, "99 min"), (11100, "3 h 05")]
)
def test_durations_are_for_people(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_shares_of_few_photos_come_with_their_interval():
    assert estimate(0.85, (0.7, 0.94)) == "about 85%, 70 to 94"
    assert estimate(1.0, (0.57, 1.0)) == "57 to 100%"
    assert estimate(0.946, (0.94, 0.95)) == "95%"
    assert estimate(0.946, None) == "95%"
