"""Every photo of a data set decoded once, into one memory-mapped array on disk.

A folder per (data set, size, fit) with three files: ``pixels`` (uint8, row after row), ``state`` (a byte per photo:
0 to do, 1 done, 2 broken), and ``index.json``, written last; the folder gets its final name then. A row is written
before its byte of state, so a build that was killed goes on where it stopped.
"""

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foodscene.models import folders
from foodscene.models.files import sync, write
from foodscene.models.pixels import InputSpec, PhotoError
from foodscene.training import locks, storage
from foodscene.training.data import parallel as pool
from foodscene.training.datasets import Dataset, DatasetError, Sample

VERSION = 2
"""Of the decoded pixels. Raise it with a change after which a photo decodes to other pixels (in `models.pixels`, in how
a sample is cut out, or in the files of the cache): everybody's photos are then decoded again. A test tells when."""

_DONE, _BROKEN = b"\x01", b"\x02"


@dataclass(frozen=True)
class Broken:
    """A photo that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Cache:
    """The decoded photos of a data set. Rows are in no particular order; `rows` says which sample each one is."""

    folder: Path
    pixels: NDArray[np.uint8]
    """Shape (n, height, width, channels), uint8, values 0-255; memory-mapped, read-only."""
    labels: NDArray[np.int64]
    """Shape (n,); -1 for photos without a label."""
    names: list[str]
    """The name of each row's sample."""
    rows: NDArray[np.int64]
    """Shape (n,): the position of each row's sample in the data set."""
    broken: list[Broken]
    """The photos that were left out."""


def build(dataset: Dataset, spec: InputSpec, *, root: Path | None = None, workers: int | None = None) -> Cache:
    """The cache of a data set at a size, built where it does not exist yet.

    `root` is by default `storage.default_root()`, `workers` the number of cores. Raises `StorageError` where the disk
    is full or the cache damaged, and `DatasetError` where no photo can be decoded.
    """
    shape = "x".join(str(side) for side in spec.shape)
    key = f"photos-{dataset.name}-{dataset.fingerprint[:12]}-{shape}-{spec.fit}-v{VERSION}"
    folder = (root or storage.default_root()) / key
    index = folder / "index.json"
    if not index.exists():
        storage.ensure_space(folder.parent, 0)
        # One process decodes, the others take what it made.
        with locks.held(storage.lock_of(folder), wait=True):
            if not index.exists():
                unfinished = folder.with_name(f"{key}.unfinished")
                _fill(unfinished, dataset, spec, workers)
                folders.settle(unfinished, folder)
    try:
        return _read(folder, dataset, spec)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise storage.StorageError(
            f"{folder}, which keeps decoded photos, is damaged. Remove it, and they are decoded again."
        ) from error


def _read(folder: Path, dataset: Dataset, spec: InputSpec) -> Cache:
    content = json.loads((folder / "index.json").read_text())
    rows = np.array(content["rows"], dtype=np.int64)
    if rows.ndim != 1 or rows.min() < 0:
        raise ValueError("these are no positions in a data set")
    samples = [dataset.samples[row] for row in rows]
    return Cache(
        folder=folder,
        pixels=np.memmap(folder / "pixels", np.uint8, mode="r", shape=(len(rows), *spec.shape)),
        labels=np.array([-1 if sample.label is None else sample.label for sample in samples], dtype=np.int64),
        names=[sample.name for sample in samples],
        rows=rows,
        broken=[Broken(*pair) for pair in content["broken"]],
    )


def _fill(folder: Path, dataset: Dataset, spec: InputSpec, workers: int | None) -> None:
    row = int(np.prod(spec.shape))
    total = len(dataset.samples)
    pixels, state = folder / "pixels", folder / "state"
    written = pixels.stat().st_blocks * 512 if pixels.exists() else 0
    storage.ensure_space(folder, total * row - written)
    with storage.explaining_full_disk(folder.parent):
        for file, size in ((pixels, total * row), (state, total)):
            file.touch()
            os.truncate(file, size)
        # Those found broken are tried again, for the reason.
        todo = np.flatnonzero(np.fromfile(state, np.uint8) != _DONE[0]).tolist()
        work = partial(_decode, spec, pixels, state)
        results = pool.each(work, dataset.samples, todo, title="Decoding", workers=workers)
        broken = {index: reason for index, reason in results if reason}
        rows = _close_gaps(pixels, total, row, sorted(broken))
        sync(pixels)
    if not len(rows):
        reason = broken.get(0, "there are none")
        raise DatasetError(f"{dataset.name} has no photo that can be decoded, of {total}. The first: {reason}")
    names = [(dataset.samples[index].name, reason) for index, reason in broken.items()]
    with storage.explaining_full_disk(folder.parent):
        write(folder / "index.json", json.dumps({"rows": rows.tolist(), "broken": names}).encode())


def _decode(spec: InputSpec, pixels: Path, state: Path, index: int, sample: Sample) -> str | None:
    """Write a photo's row and its state. Returns the reason where it is broken."""
    reason = None
    try:
        row = sample.pixels(spec).tobytes()
        _write(pixels, row, index * len(row))
    except (PhotoError, DatasetError) as error:
        reason = str(error)
    _write(state, _BROKEN if reason else _DONE, index)
    return reason


def _write(path: Path, content: bytes, offset: int) -> None:
    # Not through a memory map: there, a full disk kills the process instead of raising an error.
    file = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(file, content, offset)
    finally:
        os.close(file)


def _close_gaps(pixels: Path, total: int, row: int, gaps: list[int]) -> NDArray[np.int64]:
    """Copy the last rows over those of broken photos. Returns which photo each row is.

    Nothing that is copied from is written to, so it can be killed and done again.
    """
    kept = np.delete(np.arange(total), gaps)
    rows = np.arange(len(kept))
    holes = [gap for gap in gaps if gap < len(kept)]
    with pixels.open("rb") as file:
        for hole, last in zip(holes, kept[kept >= len(kept)], strict=True):
            file.seek(last * row)
            _write(pixels, file.read(row), hole * row)
            rows[hole] = last
    return rows
