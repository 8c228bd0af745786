"""What is wrong with a data set, before a network learns it: broken photos, copies, contradictions, leaks, gaps."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foodscene.training.data import duplicates, load, splits
from foodscene.training.data.survey import Survey, survey
from foodscene.training.datasets import Dataset, Split

UNEVEN = 3
"""How many times larger than the smallest class the largest may be before it is worth saying."""


class FindingKind(NamedTuple):
    """A sort of finding."""

    name: str
    wrong: bool
    """Whether it spoils a training or a figure, rather than being good to know."""
    title: str
    advice: str


BROKEN = FindingKind(
    "broken", True, "photos that cannot be decoded", "Training leaves them out. Replace or delete them."
)
TWO_LABELS = FindingKind(
    "two-labels", True, "photos in copies under different labels", "Some of the labels are false: delete those copies."
)
LEAKS = FindingKind(
    "leaks",
    True,
    "photos in copies on different sides of the archive's own split",
    "Training drops the copy on its own side, so that the test stays one.",
)
EXACT = FindingKind(
    "exact-copies", True, "photos that are there twice or more, byte for byte", "Delete all copies but one."
)
NEAR = FindingKind(
    "near-copies",
    False,
    "photos that are there in versions that look alike",
    f"Their hashes differ in at most {duplicates.NEAR} of 256 bits. Training keeps them on one side of the split.",
)
GAPS = FindingKind(
    "gaps", True, "classes that a split has no photos of", "Add photos, or train with other fractions or another seed."
)
IMBALANCE = FindingKind(
    "imbalance", False, "classes of very different size", "Look at the figures per class; weigh classes."
)
NOT_SQUARE = FindingKind(
    "not-square", False, "photos that are not square", "A recipe says whether to squash, crop or pad."
)
LEFT_OUT = FindingKind(
    "left-out", False, "files that are not read", "A photo is a regular file of up to 256 MB that its reader may read."
)
UNUSED = FindingKind(
    "unused", False, "photos outside of the layout's folders and lists", "They are left out of everything."
)

READ_SO = FindingKind("notes", False, "things to know of how the archive was read", "Look whether they are meant so.")


@dataclass(frozen=True)
class Finding:
    """Something to know about a data set, and what shows it: groups of photos, or notes by themselves."""

    kind: FindingKind
    groups: tuple[tuple[int, ...], ...] = ()
    """Positions of samples. The copies of one photo are a group."""
    notes: tuple[str, ...] = ()
    """What there is to say of each group."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.groups or self.notes)


@dataclass(frozen=True)
class ClassCount:
    """How many photos a class has: in all, in each of the archive's own splits, and in those of a training."""

    label: str
    photos: int
    own: dict[str, int]
    used: dict[Split, int]


@dataclass(frozen=True)
class Report:
    """All that a check found."""

    dataset: Dataset
    survey: Survey
    classes: tuple[ClassCount, ...]
    dropped: int
    """Photos that training drops because a copy of them stands in a later split."""
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> bool:
        """Whether anything found is wrong, and not only good to know."""
        return any(finding.kind.wrong for finding in self.findings)

    def summary(self) -> dict[str, Any]:
        """The data set's properties by name, as plain values."""
        read = [fact for fact in self.survey.facts if not fact.broken]
        return {
            "name": self.dataset.name,
            "layout": self.dataset.layout,
            "fingerprint": self.dataset.fingerprint,
            "photos": len(self.dataset.samples),
            "without label": sum(sample.label is None for sample in self.dataset.samples),
            "boxes": sum(len(sample.boxes) for sample in self.dataset.samples),
            "widths": _range([fact.width for fact in read]),
            "heights": _range([fact.height for fact in read]),
            "modes": dict(Counter(fact.mode for fact in read).most_common()),
            "formats": dict(Counter(fact.format for fact in read).most_common()),
            "dropped as copies": self.dropped,
        }

    def as_json(self) -> dict[str, Any]:
        """Everything for programs, photos by their names."""
        samples = self.dataset.samples
        return {key.replace(" ", "_"): value for key, value in self.summary().items()} | {
            "classes": [vars(count) for count in self.classes],
            "wrong": self.wrong,
            "findings": [
                {
                    "kind": finding.kind.name,
                    "wrong": finding.kind.wrong,
                    "title": finding.kind.title,
                    "count": finding.count,
                    "groups": [[samples[index].name for index in group] for group in finding.groups],
                    "notes": list(finding.notes),
                }
                for finding in self.findings
            ],
        }


def examine(dataset: Dataset, *, root: Path | None = None, workers: int | None = None) -> Report:
    """Look at every photo of a data set. The arguments are those of `survey.survey`."""
    facts = survey(dataset, root=root, workers=workers)
    assigned, dropped = load.divide(dataset, facts)
    classes = tuple(_classes(dataset, assigned))
    notes = Finding(READ_SO, notes=dataset.notes)
    checks = (
        notes,
        _broken(facts),
        *_copies(dataset, facts),
        *_classes_off(classes),
        _not_square(facts),
        _unused(dataset),
        _left_out(dataset),
    )
    return Report(dataset, facts, classes, dropped, tuple(finding for finding in checks if finding.count))


def describe(report: Report, index: int) -> str:
    """A photo in a few words: its name, label and split."""
    sample = report.dataset.samples[index]
    label = "no label" if sample.label is None else report.dataset.classes[sample.label]
    return f"{sample.name} ({label}{f', {sample.split}' if sample.split else ''})"


def _classes(dataset: Dataset, assigned: NDArray[np.int64]) -> Iterator[ClassCount]:
    own: defaultdict[int | None, Counter[str]] = defaultdict(Counter)
    used: defaultdict[int | None, Counter[int]] = defaultdict(Counter)
    for sample, code in zip(dataset.samples, assigned.tolist(), strict=True):
        own[sample.label][sample.split or "none"] += 1
        used[sample.label][code] += 1
    for label, name in enumerate(dataset.classes):
        splitted = {split: used[label][code] for code, split in enumerate(splits.SPLITS)}
        yield ClassCount(name, own[label].total(), dict(own[label]), splitted)


def _broken(facts: Survey) -> Finding:
    broken = [(index, fact.broken) for index, fact in enumerate(facts.facts) if fact.broken]
    return Finding(BROKEN, tuple((index,) for index, _ in broken), tuple(reason for _, reason in broken))


def _copies(dataset: Dataset, facts: Survey) -> Iterator[Finding]:
    together: defaultdict[int, list[int]] = defaultdict(list)
    identical: defaultdict[bytes, list[int]] = defaultdict(list)
    for index, (group, fact) in enumerate(zip(facts.groups.tolist(), facts.facts, strict=True)):
        together[group].append(index)
        identical[fact.content].append(index)
    identical.pop(b"", None)  # those that cannot be read
    alike = [tuple(group) for group in together.values() if len(group) > 1]
    exact = tuple(tuple(group) for group in identical.values() if len(group) > 1)
    labels = [group for group in alike if len({dataset.samples[index].label for index in group} - {None}) > 1]
    leaks = [group for group in alike if len({dataset.samples[index].split for index in group} - {None}) > 1]
    near = [group for group in alike if len({facts.facts[index].content for index in group}) > 1]
    for kind, groups in ((TWO_LABELS, labels), (LEAKS, leaks), (NEAR, near)):
        notes = tuple(_likeness([facts.facts[index].content for index in group]) for group in groups)
        yield Finding(kind, tuple(groups), notes)
    yield Finding(EXACT, exact)


def _likeness(contents: Sequence[bytes]) -> str:
    different = len(set(contents))
    return (
        "exact copies" if different == 1 else "near copies" if different == len(contents) else "exact and near copies"
    )


def _classes_off(classes: Sequence[ClassCount]) -> Iterator[Finding]:
    absent = [f"{count.label}: no {split}" for count in classes for split in splits.SPLITS if not count.used[split]]
    yield Finding(GAPS, notes=tuple(absent))
    sizes = sorted((count.photos, count.label) for count in classes)
    (least, smallest), (most, largest) = sizes[0], sizes[-1]
    uneven = f"{largest} has {most} photos, {smallest} has {least}: {most / max(least, 1):.1f} times as many"
    yield Finding(IMBALANCE, notes=(uneven,) if most > UNEVEN * least else ())


def _not_square(facts: Survey) -> Finding:
    odd = [(index, fact) for index, fact in enumerate(facts.facts) if fact.width != fact.height]
    return Finding(
        NOT_SQUARE, tuple((index,) for index, _ in odd), tuple(f"{fact.width} x {fact.height}" for _, fact in odd)
    )


def _unused(dataset: Dataset) -> Finding:
    used = {(sample.files.path, sample.member) for sample in dataset.samples}
    sources = {sample.files.path: sample.files for sample in dataset.samples}
    return Finding(
        UNUSED,
        notes=tuple(photo for path, files in sources.items() for photo in files.photos() if (path, photo) not in used),
    )


def _left_out(dataset: Dataset) -> Finding:
    return Finding(LEFT_OUT, notes=tuple(f"{name}: {reason}" for name, reason in dataset.left_out.items()))


def _range(sizes: Sequence[int]) -> dict[str, int]:
    """In pixels."""
    if not sizes:
        return {}
    return {"smallest": min(sizes), "median": int(np.median(sizes)), "largest": max(sizes)}
