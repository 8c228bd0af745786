from pathlib import Path

import pytest

from foodscene.models import bundle
from foodscene.models.confusion import Confusion, Mistake


def test_confusion_names_the_most_frequent_mistakes() -> None:
    confusion = Confusion(labels=["a", "b"], matrix=[[7, 3], [1, 0]])
    assert confusion.mistakes() == [Mistake("a", "b", 3, 10), Mistake("b", "a", 1, 1)]
    assert [[cell["heat"] for cell in row["cells"]] for row in confusion.rows] == [[7, 3], [10, 0]]


def test_as_many_mistakes_as_asked_for_are_named() -> None:
    labels = [str(number) for number in range(10)]
    confusion = Confusion(labels=labels, matrix=[[1] * 10 for _ in labels])
    assert len(confusion.mistakes()) == 5
    assert confusion.mistakes(2) == [Mistake("0", "1", 1, 10), Mistake("0", "2", 1, 10)]


def test_confusion_of_many_labels_has_mistakes_and_no_table() -> None:
    labels = [str(number) for number in range(100)]
    matrix = [[0] * 100 for _ in labels]
    matrix[3][4] = 2
    confusion = Confusion(labels=labels, matrix=matrix)
    assert confusion.rows == []
    assert confusion.mistakes() == [Mistake("3", "4", 2, 2)]


@pytest.mark.parametrize("content", ["", "{}", '{"labels": ["a", "b"], "matrix": [[1, 2]]}', '{"labels": 1}'])
def test_confusion_that_is_missing_or_wrong_is_left_out(toy_bundle: Path, tmp_path: Path, content: str) -> None:
    folder = tmp_path / "colours"
    folder.symlink_to(toy_bundle / "colours") if not content else _copy(toy_bundle / "colours", folder, content)
    assert Confusion.read(bundle.read_bundle(folder)) is None


def _copy(source: Path, folder: Path, confusion: str) -> None:
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "confusion.json").write_text(confusion)
