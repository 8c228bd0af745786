"""What there is to know of every photo of a data set without training on it, found out once and kept in the cache."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foodscene.models import pixels
from foodscene.models.pixels import InputSpec, PhotoError
from foodscene.training import storage
from foodscene.training.data import duplicates
from foodscene.training.data import parallel as pool
from foodscene.training.datasets import Dataset, DatasetError, Sample

VERSION = 3
"""Of the facts. Raise it with a change after which a photo has other facts or other copies (in `models.pixels`,
`copies` or here): everybody's photos are then looked at again. A test tells when."""

_SMALL = 64
_VIEW = InputSpec(duplicates.SIDE, duplicates.SIDE, 1)


class Facts(NamedTuple):
    """What is known of a photo."""

    content: bytes
    """SHA-256 of the file; empty where it cannot be read."""
    view: bytes
    """The perceptual hash (`copies.view`); empty for broken, single-coloured and tiny photos, which all look alike."""
    width: int
    """In pixels, as stored; 0 where the photo is broken, as for height."""
    height: int
    mode: str
    """Pillow's name: RGB, L, CMYK, P …"""
    format: str
    """Pillow's name: JPEG, PNG …"""
    broken: str
    """Why it cannot be decoded; empty where it can."""


@dataclass(frozen=True)
class Survey:
    """The facts of every photo, in the data set's order. For a part of a photo they are those of the whole."""

    facts: Sequence[Facts]
    groups: NDArray[np.int64]
    """Which photos are copies of each other, shape (n,): see `copies.groups`."""

    @property
    def contents(self) -> list[bytes]:
        """The hash of each photo's file."""
        return [fact.content for fact in self.facts]


def survey(dataset: Dataset, *, root: Path | None = None, workers: int | None = None) -> Survey:
    """The facts of every photo. Takes one pass over the photos the first time, on `workers` processes (all cores)."""
    path = (root or storage.default_root()) / _folder(dataset) / "facts.json"
    if not path.exists():
        results = pool.each(_facts, dataset.samples, range(len(dataset.samples)), title="Surveying", workers=workers)
        facts = [fact for _, fact in results]
        groups = duplicates.groups([fact.content for fact in facts], [fact.view for fact in facts])
        rows = [(fact.content.hex(), fact.view.hex(), *fact[2:]) for fact in facts]
        storage.write_bytes(path, json.dumps({"facts": rows, "groups": groups.tolist()}).encode())
    found = json.loads(path.read_text())
    return Survey(
        [Facts(bytes.fromhex(row[0]), bytes.fromhex(row[1]), *row[2:]) for row in found["facts"]],
        np.array(found["groups"], dtype=np.int64),
    )


def _folder(dataset: Dataset) -> str:
    return f"survey-{dataset.name}-{dataset.fingerprint[:12]}-v{VERSION}"


def _facts(_: int, sample: Sample) -> Facts:
    content = b""
    try:
        photo = sample.read()
        content = sha256(photo).digest()
        gray = pixels.read_photo(photo, _VIEW)[:, :, 0]
        kind, width, height = pixels.inspect(photo)[:3]
        mode = _mode(photo)
    except (PhotoError, DatasetError) as error:
        return Facts(content, b"", 0, 0, "", "", str(error))
    return Facts(content, duplicates.view(gray) if min(width, height) >= _SMALL else b"", width, height, mode, kind, "")


def _mode(photo: bytes) -> str:
    """Pillow's name of an intact photo's mode; empty for the few layouts that only `models.pixels` reads."""
    try:
        with Image.open(BytesIO(photo)) as image:  # the header alone
            return image.mode
    except (OSError, SyntaxError, ValueError):
        return ""
