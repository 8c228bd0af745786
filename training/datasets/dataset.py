"""What a data set is, whatever archive it comes from: labelled photos and the names of the classes."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foodscene.models import pixels
from foodscene.models.pixels import Box, InputSpec
from foodscene.models.text import spelled
from foodscene.training.datasets.files import Files
from foodscene.training.datasets.names import matched

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A photo, or a part of one, and what its archive says of it."""

    files: Files
    member: str
    """The photo's name within `files`."""
    name: str
    """Unique in the data set: `member`, with the number of the box where the sample is one of several."""
    label: int | None
    """Index into the data set's classes; None where the archive gives the photo without a label."""
    split: Split | None = None
    """The archive's own split; None where it has none."""
    boxes: tuple[Box, ...] = ()
    """Where the archive says that the labelled thing is."""
    box: Box | None = None
    """The part of the photo that the sample is; None for all of it."""
    key: str | None = None
    """What the photo is known by in every archive that has it, at any size; None where there is no such thing."""

    def read(self) -> bytes:
        """The encoded photo."""
        return self.files.read(self.member)

    def pixels(self, spec: InputSpec) -> NDArray[np.uint8]:
        """The decoded and fitted photo, uint8, shape `spec.shape`. Raises `models.pixels.PhotoError`."""
        return pixels.read_photo(self.read(), spec, box=self.box)


@dataclass(frozen=True)
class Dataset:
    """Photos in a fixed order, and the classes that their labels index."""

    name: str
    layout: str
    classes: tuple[str, ...]
    samples: Sequence[Sample]
    parts: tuple[int, ...] = ()
    """The number of samples of each data set that this one unites; empty where it is one by itself."""
    notes: tuple[str, ...] = ()
    """What whoever uses it should know of how it was read, in sentences."""

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change when a photo is added, removed, changed, or labelled or split otherwise.

        The same on every machine, and for an archive and the folder that it unpacks to.
        """
        digest = hashlib.sha256()
        for sample in self.samples:
            label = None if sample.label is None else self.classes[sample.label]
            content = sample.files.entries[sample.member]
            line = (sample.name, content.size, content.crc, label, sample.split, sample.boxes, sample.box)
            digest.update(f"{line}\n".encode())
        digest.update(f"{self.classes}".encode())
        return digest.hexdigest()[:32]

    @property
    def left_out(self) -> dict[str, str]:
        """Why files are not read, by name."""
        sources = {sample.files.path: sample.files for sample in self.samples}
        return {name: reason for files in sources.values() for name, reason in files.left_out.items()}

    def crops(self) -> "Dataset":
        """The same with a sample for every box, cut to it; photos without a box stay whole."""
        samples: list[Sample] = []
        counts: list[int] = []
        for sample in self.samples:
            before = len(samples)
            several = len(sample.boxes) > 1
            samples += [
                replace(sample, name=f"{sample.name}#{number}" if several else sample.name, boxes=(box,), box=box)
                for number, box in enumerate(sample.boxes, start=1)
            ] or [sample]
            counts.append(len(samples) - before)
        ends = list(accumulate(self.parts, initial=0))
        parts = tuple(sum(counts[start:end]) for start, end in pairwise(ends))
        return replace(self, samples=samples, parts=parts)

    def as_class(self, label: str) -> "Dataset":
        """The same photos, all of them of one class: unite two such data sets to tell the one from the other."""
        return replace(self, classes=(label,), samples=[replace(sample, label=0) for sample in self.samples])


def union(datasets: Iterable[Dataset]) -> Dataset:
    """Several data sets as one: classes in the order given, one where two share a name; each photo's own split kept.

    A name that differs from one before it in case, spaces or underscores alone is the same.
    """
    members = list(datasets)
    classes: list[str] = []
    samples: list[Sample] = []
    notes = [note for dataset in members for note in dataset.notes]
    for position, dataset in enumerate(members, start=1):
        repeated = sum(other.name == dataset.name for other in members) > 1
        prefix = f"{dataset.name}-{position}" if repeated else dataset.name
        same = matched(dataset.classes, classes)
        notes += [f"{label} is taken for the class {one}." for label, one in same.items() if label != one]
        labels = [same.get(label, label) for label in dataset.classes]
        classes += [label for label in labels if label not in classes]
        index = [classes.index(label) for label in labels]
        samples += [
            replace(sample, name=f"{prefix}/{sample.name}", label=None if sample.label is None else index[sample.label])
            for sample in dataset.samples
        ]
    return Dataset(
        name="+".join(dataset.name for dataset in members),
        layout="+".join(dict.fromkeys(dataset.layout for dataset in members)),
        classes=tuple(classes),
        samples=samples,
        parts=tuple(len(dataset.samples) for dataset in members),
        notes=tuple(dict.fromkeys(notes)),
    )


def renamed(dataset: Dataset, names: Mapping[str, str], *, spell: bool = False) -> Dataset:
    """A data set whose classes have other names, the others' as people write them with `spell`.

    `names` maps what a class is called, as `names.matched` compares it, to what it shall be called; names of no class
    are passed over. Classes that get one name are one.
    """
    others = {known: names[name] for name, known in matched(names, dataset.classes).items()}
    wanted = [others.get(label) or (spelled(label) if spell else label) for label in dataset.classes]
    classes = tuple(dict.fromkeys(wanted))
    index = [classes.index(label) for label in wanted]
    samples = [
        sample if sample.label is None else replace(sample, label=index[sample.label]) for sample in dataset.samples
    ]
    return replace(dataset, classes=classes, samples=samples)
