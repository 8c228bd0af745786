import zipfile
from collections import defaultdict
from hashlib import md5

import pytest

from foodscene.training.data.check import examine
from foodscene.training.datasets import open_dataset


def findings(report):
    return {finding["kind"]: finding for finding in report.as_json()["findings"]}


def test_nothing_wrong_with_a_good_set(folder, photo):
    tree = {
        f"{label}/{number}.jpg": photo(number + 1000 * ord(label), 64, 64) for label in "ab" for number in range(60)
    }
    report = examine(open_dataset(folder(tree)))
    assert not report.wrong
    assert findings(report) == {}


@pytest.fixture
def bad(photo):
    tree = {
        f"train/{label}/{number}.jpg": photo(number + 1000 * ord(label), 64, 64)
        for label in "ab"
        for number in range(40)
    }
    tree |= {
        f"test/{label}/{number}.jpg": photo(number + 1000 * ord(label) + 500, 64, 64)
        for label in "ab"
        for number in range(9)
    }
    return tree


def test_what_is_wrong_is_found(folder, bad, photo):
    bad["train/a/same.jpg"] = bad["train/a/1.jpg"]
    bad["train/b/other-label.jpg"] = bad["train/a/2.jpg"]
    bad["train/a/leak.jpg"] = bad["test/a/3.jpg"]
    bad["train/a/near.jpg"] = photo(4 + 1000 * ord("a"), 80, 80, quality=40)
    bad["train/a/broken.jpg"] = bad["train/a/5.jpg"][:300]
    bad["train/a/wide.jpg"] = photo(777, 128, 64)
    bad["train/c/alone.jpg"] = photo(888, 64, 64)
    bad["cover.jpg"] = photo(999, 64, 64)
    report = examine(open_dataset(folder(bad)))
    found = findings(report)
    groups = {kind: [set(group) for group in finding["groups"]] for kind, finding in found.items()}
    assert groups["broken"] == [{"train/a/broken.jpg"}]
    assert groups["two-labels"] == [{"train/a/2.jpg", "train/b/other-label.jpg"}]
    assert groups["leaks"] == [{"test/a/3.jpg", "train/a/leak.jpg"}]
    assert {"train/a/1.jpg", "train/a/same.jpg"} in groups["exact-copies"]
    assert len(groups["exact-copies"]) == 3
    assert groups["near-copies"] == [{"train/a/4.jpg", "train/a/near.jpg"}]
    assert groups["not-square"] == [{"train/a/wide.jpg"}]
    assert found["not-square"]["notes"] == ["128 x 64"]
    assert len(found["gaps"]["notes"]) == 2
    assert all(note.startswith("c: no ") for note in found["gaps"]["notes"])
    assert found["imbalance"]["notes"] == ["a has 54 photos, c has 1: 54.0 times as many"]
    assert found["unused"]["notes"] == ["cover.jpg"]
    assert {kind for kind, finding in found.items() if finding["wrong"]} == {
        "broken",
        "two-labels",
        "leaks",
        "exact-copies",
        "gaps",
    }
    assert report.wrong


def test_the_counts_are_the_archives_and_the_trainings(folder, bad):
    bad["train/a/leak.jpg"] = bad["test/a/3.jpg"]
    report = examine(open_dataset(folder(bad)))
    first = report.classes[0]
    assert (first.label, first.photos, first.own) == ("a", 50, {"train": 41, "test": 9})
    assert first.used["test"] == 9
    assert first.used["train"] + first.used["validation"] == 40
    assert report.dropped == 1


@pytest.mark.nightly
def test_the_intel_archive_against_a_plain_hash(data):
    path = data / "intel-image-classification.zip"
    by_hash = defaultdict(list)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".jpg"):
                by_hash[md5(archive.read(name)).digest()].append(name)
    copies = {frozenset(names) for names in by_hash.values() if len(names) > 1}
    two_labels = {names for names in copies if len({name.split("/")[2] for name in names}) > 1}
    across = {names for names in copies if len({name.split("/")[0] for name in names}) > 1}
    assert copies
    assert two_labels
    assert across
    report = examine(open_dataset(path))
    found = {
        kind: [(frozenset(group), finding["notes"]) for group in finding["groups"]]
        for kind, finding in findings(report).items()
    }
    assert {group for group, _ in found["exact-copies"]} == copies
    assert {group for group, _ in found["two-labels"]} >= two_labels
    assert {group for group, _ in found["leaks"]} >= across
    for kind, expected in (("two-labels", two_labels), ("leaks", across)):
        finding = findings(report)[kind]
        exact = {
            frozenset(group)
            for group, note in zip(finding["groups"], finding["notes"], strict=True)
            if note == "exact copies"
        }
        assert exact == expected
    assert findings(report)["not-square"]["count"] == 28
    assert report.wrong
