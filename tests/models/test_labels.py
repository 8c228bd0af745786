"""Files of labels as people have them."""

import pytest

from foodscene.models.labels import LabelsError, parse, parse_indices, without_numbers

WINDOWS = "Lake\r\nForest\r\n".encode("utf-16")
BIG_ENDIAN = b"\xfe\xff" + "Lake\nForest".encode("utf-16-be")


@pytest.mark.parametrize(
    "content",
    [
        b"Lake\nForest\n",
        b"Lake\r\nForest",
        b"\xef\xbb\xbf  Lake\n\n Forest \n",
        b"Lake\rForest\r\n\r\n",
        WINDOWS,
        BIG_ENDIAN,
    ],
)
def test_a_label_a_line(content: bytes) -> None:
    assert parse(content) == ("Lake", "Forest")


def test_numbers_of_teachable_machine_are_no_part_of_the_labels() -> None:
    assert without_numbers(parse(b"0 Lake\r\n1 Pine forest\r\n2 7 hills")) == ("Lake", "Pine forest", "7 hills")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(LabelsError, match="save it as UTF-8"):
        parse("Lake\nForest".encode("utf-16-le"))


@pytest.mark.parametrize("labels", [("1 Lake", "2 Forest"), ("0 Lake", "Forest"), ("0", "1", "2"), ("0 Lake",)])
def test_other_numbers_are(labels: tuple[str, ...]) -> None:
    assert without_numbers(labels) == labels


@pytest.mark.parametrize("content", [b'{"forest": 1, "lake": 0}', b'{"0": "lake", "1": "forest"}'])
def test_class_indices(content: bytes) -> None:
    assert parse_indices(content) == ("lake", "forest")


@pytest.mark.parametrize(
    "content", [b"{", b"[1, 2]", b"{}", b'{"a": 0, "b": 2}', b'{"a": 0, "b": 0}', b'{"a": true, "b": 0}', b"[" * 99_999]
)
def test_what_is_no_class_indices(content: bytes) -> None:
    with pytest.raises(LabelsError):
        parse_indices(content)
