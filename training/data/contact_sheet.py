"""Pictures of many photos at once."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from foodscene.models.errors import FoodsceneError
from foodscene.models.files import MARK, check_output, write_output
from foodscene.models.pixels import InputSpec, PhotoError
from foodscene.training import sheet
from foodscene.training.datasets import Dataset, DatasetError, Sample

_GAP, _LINE, _MARGIN = 4, 16, 12


def thumbnail(sample: Sample, side: int = 96) -> Image.Image:
    """The photo within a square of `side` pixels, gray where it cannot be decoded."""
    try:
        return Image.fromarray(sample.pixels(InputSpec(side, side, 3, "pad")))
    except (PhotoError, DatasetError):
        return Image.new("RGB", (side, side), "lightgray")


def data_url(sample: Sample, side: int = 128) -> str:
    """The thumbnail as a JPEG within an address, for a page that is one file."""
    target = BytesIO()
    thumbnail(sample, side).save(target, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{b64encode(target.getvalue()).decode()}"


_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".tif": "TIFF"}


class PictureError(FoodsceneError, ValueError):
    """A picture that cannot be saved so. Its text says what to change."""


def check(path: Path) -> None:
    """Make sure that a picture can be saved to `path`: in a format that can say who made it, and nothing is in the way.

    Raises `PictureError` for another ending, and `OccupiedError` as `models.files.check_output` does.
    """
    if path.suffix.lower() not in _FORMATS:
        raise PictureError(f"{path.name}: a picture's name ends in {', '.join(_FORMATS)}.")
    check_output(path)


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture in the format of its ending; it says that foodscene made it."""
    encoded, kind = BytesIO(), _FORMATS[path.suffix.lower()]
    said, software = PngInfo(), Image.Exif()
    said.add_text("Software", MARK)
    software[ExifTags.Base.Software] = MARK
    options: dict[str, dict[str, Any]] = {"PNG": {"pnginfo": said}, "GIF": {"comment": MARK.encode()}}
    picture.save(encoded, kind, **options.get(kind, {"exif": software}))
    write_output(path, encoded.getvalue())


def draw(rows: Sequence[tuple[str, Sequence[Sample]]], side: int = 96) -> Image.Image:
    """A picture with a row of thumbnails under each title."""
    columns = max((len(samples) for _, samples in rows), default=1)
    height = _LINE + side + 2 * _GAP
    drawn = Image.new("RGB", (columns * (side + _GAP) + 2 * _MARGIN, len(rows) * height + 2 * _MARGIN), "white")
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(size=13)
    for number, (title, samples) in enumerate(rows):
        top = _MARGIN + number * height
        pen.text((_MARGIN, top), title, fill="black", font=font)
        if samples:
            row = sheet.grid([thumbnail(sample, side) for sample in samples], len(samples), gap=_GAP)
            drawn.paste(row, (_MARGIN, top + _LINE + _GAP // 2))
    return drawn


def classes(dataset: Dataset, per_class: int = 12) -> Image.Image:
    """A row per class, of photos taken evenly over the class."""
    labels = np.array([-1 if sample.label is None else sample.label for sample in dataset.samples])
    rows = []
    for label, name in enumerate(dataset.classes):
        members = np.flatnonzero(labels == label)
        chosen = members[np.linspace(0, len(members) - 1, min(per_class, len(members))).astype(int)]
        rows.append((f"{name} ({len(members)})", [dataset.samples[index] for index in chosen]))
    return draw(rows)
