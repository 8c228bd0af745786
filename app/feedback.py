"""Photos that people gave the right label for, where the operator asked for them: class folders for training."""

import hashlib
import re
from io import BytesIO
from pathlib import Path

from PIL import Image

from foodscene.models.files import write

_MOST_PHOTOS = 100_000
MOST_PIXELS_A_SIDE = 1024


def keep(photo: Image.Image, label: str, folder: Path) -> Path:
    """Write a decoded photo, at most `MOST_PIXELS_A_SIDE` on a side, to `folder/<label>/<its hash>.jpg`; give the path.

    It is encoded anew, so that nothing is kept but what can be seen: no place, no time, no camera.
    Raises `OSError` where it cannot be written.
    """
    encoded = BytesIO()
    photo.info.clear()  # Pillow would carry comments, profiles and the like over
    photo.convert("RGB").save(encoded, "JPEG", quality=92, exif=b"")
    class_folder = folder / re.sub(r"[^\w .()&'-]", "_", label).strip(". ")
    class_folder.mkdir(parents=True, exist_ok=True)
    path = class_folder / f"{hashlib.sha256(encoded.getvalue()).hexdigest()[:32]}.jpg"
    write(path, encoded.getvalue())
    return path


def is_full(folder: Path) -> bool:
    """Whether so many photos are kept already that no more are, so that nobody can fill the disk."""
    return sum(1 for _ in folder.glob("*/*.jpg")) >= _MOST_PHOTOS
