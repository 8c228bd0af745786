"""The one call of the training loop: a path becomes pixels, labels and who trains, validates and tests on what."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from foodscene.models.pixels import InputSpec
from foodscene.models.terminal import open_console
from foodscene.training.data import cache, splits
from foodscene.training.data.splits import Fractions
from foodscene.training.data.survey import Survey, survey
from foodscene.training.datasets import Dataset, DatasetError, Sample, Split, open_dataset, renamed, union
from foodscene.training.recipes.recipe import Recipe

Source = Path | Dataset

_ADJECTIVE = {"train": "training"}


@dataclass(frozen=True)
class Data:
    """A data set at the size of a network."""

    name: str
    layout: str
    classes: tuple[str, ...]
    fingerprint: str
    names: list[str]
    """The name of each photo, n of them."""
    pixels: NDArray[np.uint8]
    """Shape (n, height, width, channels), uint8, values 0-255; memory-mapped, read-only."""
    labels: NDArray[np.int64]
    """Shape (n,): indices into `classes`; -1 for photos without a label, which are in no split."""
    train: NDArray[np.int64]
    """Which rows of `pixels` to train on, ascending; so for `validation` and `test`."""
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    groups: NDArray[np.int64]
    """Shape (n,): the same number for photos that are copies of each other."""
    dropped: int
    """How many photos are in no split because a copy of them stands in a later one."""
    parts: NDArray[np.int64] | None = None
    """Shape (n,): which of the data sets that this one unites a photo is of; None where it is one by itself."""
    contents: tuple[str, ...] = ()
    """What each photo is known by whatever its name, n of them: 32 hexadecimal digits of its file and its part of it.
    Empty where the photos are none of files."""

    samples: Sequence[Sample] = field(default=(), repr=False)
    """Each photo as its archive has it, n of them; empty where the photos are none of files."""

    def contents_of(self, rows: NDArray[np.int64]) -> tuple[str, ...]:
        """`contents` of some rows."""
        return tuple(self.contents[row] for row in rows) if self.contents else ()


def load(  # noqa: PLR0913 - named options, each with a default
    source: Source | Sequence[Source],
    spec: InputSpec,
    *,
    layout: str | None = None,
    labels: str | None = None,
    crop_boxes: bool = False,
    fractions: Fractions = (0.7, 0.2, 0.1),
    seed: int = 0,
    stratified: bool = True,
    used: Sequence[Split] = splits.SPLITS,
) -> Data:
    """Open, decode and split one data set, or several as one.

    Tells on the console which photos are broken, what was dropped for being a copy, and which classes a split that is
    `used` lacks. Raises `DatasetError` for data that cannot be used, `StorageError` where the cache cannot be written.
    """
    console = open_console(stderr=True, markup=True)
    dataset = _opened(source, layout, labels)
    if crop_boxes:
        dataset = dataset.crops()
    tell_notes(dataset, console)
    decoded = cache.build(dataset, spec)
    facts = survey(dataset)
    assigned, dropped = divide(dataset, facts, fractions=fractions, seed=seed, stratified=stratified)
    kept = assigned[decoded.rows]
    train, validation, test = (np.flatnonzero(kept == code) for code in range(len(splits.SPLITS)))
    data = Data(
        name=dataset.name,
        layout=dataset.layout,
        classes=dataset.classes,
        fingerprint=dataset.fingerprint,
        names=decoded.names,
        pixels=decoded.pixels,
        labels=decoded.labels,
        train=train,
        validation=validation,
        test=test,
        groups=facts.groups[decoded.rows],
        dropped=dropped,
        parts=np.repeat(np.arange(len(dataset.parts)), dataset.parts)[decoded.rows] if dataset.parts else None,
        contents=tuple(_content(dataset.samples[row], facts.contents[row]) for row in decoded.rows),
        samples=[dataset.samples[row] for row in decoded.rows],
    )
    _tell_left_out(dataset, console)
    for broken in decoded.broken[:10]:
        console.print(f"[yellow]Left out:[/] {escape(f'{broken.name}: {broken.reason}')}", highlight=False)
    if len(decoded.broken) > 10:
        console.print(f"[yellow]Left out:[/] {len(decoded.broken) - 10} more photos that are broken")
    if dropped:
        console.print(f"[yellow]Dropped[/] {dropped} photos of which a copy stands in the validation or the test split")
    _look_for_gaps(data, used, console)
    return data


def load_for(recipe: Recipe, source: Source | Sequence[Source]) -> Data:
    """The photos as a recipe takes them: read, named, sized and divided as it says. Raises what `load` does."""
    read = recipe.data
    return load(
        renamed(_opened(source, read.layout), read.rename, spell=read.spell_labels),
        recipe.input.spec,
        crop_boxes=read.crop_boxes,
        fractions=read.fractions,
        seed=recipe.seed,
        stratified=read.stratified,
    )


def _opened(source: Source | Sequence[Source], layout: str | None = None, labels: str | None = None) -> Dataset:
    sources = [source] if isinstance(source, Path | Dataset) else source
    opened = [part if isinstance(part, Dataset) else open_dataset(part, layout, labels) for part in sources]
    return opened[0] if len(opened) == 1 else union(opened)


def _content(sample: Sample, content: bytes) -> str:
    return sha256(content + repr(sample.box).encode() if sample.box else content).hexdigest()[:32]


def divide(
    dataset: Dataset,
    facts: Survey,
    *,
    fractions: Fractions = (0.7, 0.2, 0.1),
    seed: int = 0,
    stratified: bool = True,
) -> tuple[NDArray[np.int64], int]:
    """The split of every sample as an index into `splits.SPLITS`, shape (n,), and how many were dropped as copies.

    -1 for samples that are in none: without a label, or a copy of one in a later split.
    """
    labels = [sample.label for sample in dataset.samples] if stratified else None
    contents = [
        sample.key.encode() if sample.key else content
        for sample, content in zip(dataset.samples, facts.contents, strict=True)
    ]

    def parted(own: Sequence[Split | None]) -> NDArray[np.int64]:
        """Each data set of a union by itself."""
        ends = np.cumsum(dataset.parts or (len(own),)).tolist()
        parts = [
            splits.assign(
                contents[start:end],
                own[start:end],
                fractions=fractions,
                seed=seed,
                labels=labels[start:end] if labels else None,
            )
            for start, end in zip([0, *ends], ends, strict=False)
        ]
        assigned = np.concatenate(parts)
        assigned[[sample.label is None for sample in dataset.samples]] = -1
        return assigned

    own = [sample.split for sample in dataset.samples]
    assigned = parted(own)
    leaks = splits.leaked(assigned, facts.groups)
    if "validation" in own and (assigned[~leaks] != 1).all():  # all that validates is copies of test photos
        assigned = parted([None if split == "validation" else split for split in own])
        leaks |= splits.leaked(assigned, facts.groups)
    assigned[leaks] = -1
    return assigned, int(leaks.sum())


def tell_notes(dataset: Dataset, console: Console, most: int = 10) -> None:
    """Say how a data set was read where that may surprise."""
    for note in dataset.notes[:most]:
        console.print(f"[yellow]Note:[/] {escape(note)}", highlight=False)
    if len(dataset.notes) > most:
        console.print(f"[yellow]Note:[/] {len(dataset.notes) - most} more; `foodscene data check` tells all.")


def _tell_left_out(dataset: Dataset, console: Console) -> None:
    left_out = list(dataset.left_out.items())
    for name, reason in left_out[:10]:
        console.print(f"[yellow]Left out:[/] {escape(f'{name}: {reason}')}", highlight=False)
    if len(left_out) > 10:
        console.print(f"[yellow]Left out:[/] {len(left_out) - 10} more files that are not read")


def _look_for_gaps(data: Data, used: Sequence[Split], console: Console) -> None:
    """Say which classes a split lacks. Raises `DatasetError` where there is nothing to train on."""
    for split in used:
        rows = getattr(data, split)
        absent = np.setdiff1d(np.arange(len(data.classes)), data.labels[rows])
        if len(absent) == len(data.classes) and split == "train":
            raise DatasetError(f"{data.name} has no photos to train on.")
        if len(absent):
            names = ", ".join(data.classes[label] for label in absent[:10]) + (" …" if len(absent) > 10 else "")
            console.print(
                f"[yellow]No {_ADJECTIVE.get(split, split)} photos[/] of {len(absent)} of {len(data.classes)} classes: "
                f"{escape(names)}. "
                "Add photos, or try other fractions or another seed."
            )
