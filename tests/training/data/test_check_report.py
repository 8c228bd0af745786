from io import StringIO

import pytest
from rich.console import Console

from foodscene.training.data.check import examine
from foodscene.training.data.check_report import html, print_report
from foodscene.training.datasets import open_dataset


@pytest.fixture
def report(folder, photo):
    tree = {
        f"{label}/{number}.jpg": photo(number + 1000 * ord(label[-1]))
        for label in ("a", "[b]<i>")
        for number in range(30)
    }
    return examine(open_dataset(folder(tree | {"a/x.jpg": b"broken", "a/same.jpg": tree["a/1.jpg"]})))


def test_the_table_says_it_in_words(report):
    console = Console(file=StringIO(), width=200)
    print_report(report, console)
    text = console.file.getvalue()
    assert "[b]<i>" in text
    assert "1 photos that cannot be decoded" in text
    assert "a/x.jpg (a): This is not an image" in text
    assert "a/1.jpg (a) = a/same.jpg (a)" in text


def test_the_page_is_one_file_with_the_pictures(report):
    page = html(report)
    assert page.startswith("<!doctype html>")
    assert "[b]&lt;i&gt;" in page
    assert "<i>" not in page
    assert page.count("data:image/jpeg;base64,") >= 3
    assert "http" not in page
