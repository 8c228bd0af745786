import pytest

from foodscene.training.datasets.split_names import is_holder, kind_of, split_of


@pytest.mark.parametrize(
    ("name", "kind", "split"),
    [
        ("Training_set", "train", "train"),
        ("dev", "validation", "validation"),
        ("test-images", "test", "test"),
        ("evaluation", "evaluation", "test"),
        ("images to predict", "unlabelled", None),
        ("fish", None, None),
    ],
)
def test_what_a_name_says_of_a_split(name: str, kind: str | None, split: str | None) -> None:
    assert (kind_of(name), split_of(name)) == (kind, split)


def test_folders_around_others() -> None:
    assert [is_holder(name) for name in ("Images", "data", "cat")] == [True, True, False]
