"""Photos that people gave the right label for, where the operator asked for them: class folders for training."""

import hashlib
import os
import re
import threading
import time
from io import BytesIO
from pathlib import Path

from PIL import Image

from foodscene.models.files import write

MOST_PIXELS_A_SIDE = 1024
_MOST_NAME = 200
_COUNTED_SECONDS = 600.0
"""How long the folder's size is believed, with what is added here: others may add to it, and remove from it."""


class Corrections:
    """The folder `folder`, with a sub-folder for each label, in which at most `most` bytes of photos are kept.

    More than one server process may keep photos in it; each sees what the others kept when it counts the next time.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._lock = threading.Lock()
        self._bytes, self._counted = 0, -_COUNTED_SECONDS

    def is_full(self) -> bool:
        """Whether no more photos are kept, so that nobody can fill the disk."""
        with self._lock:
            if time.monotonic() - self._counted >= _COUNTED_SECONDS:
                self._bytes, self._counted = _bytes_below(self.folder), time.monotonic()
            return self._bytes >= self.most

    def keep(self, photo: Image.Image, label: str) -> Path:
        """Write a decoded photo, at most `MOST_PIXELS_A_SIDE` on a side, to `<label>/<its hash>.jpg`; give the path.

        It is encoded anew, so that nothing is kept but what can be seen: no place, no time, no camera.
        Raises `OSError` where it cannot be written.
        """
        encoded = BytesIO()
        photo.info.clear()  # Pillow would carry comments, profiles and the like over
        photo.convert("RGB").save(encoded, "JPEG", quality=92, exif=b"")
        class_folder = self.folder / _folder_name(label)
        class_folder.mkdir(parents=True, exist_ok=True)
        path = class_folder / f"{hashlib.sha256(encoded.getvalue()).hexdigest()[:32]}.jpg"
        if not path.exists():
            write(path, encoded.getvalue())
            with self._lock:
                self._bytes += encoded.tell()
        return path


def _folder_name(label: str) -> str:
    """A label as a folder's name, of at most `_MOST_NAME` bytes, for any system."""
    name = re.sub(r"[^\w .()&'-]", "_", label).encode()[:_MOST_NAME].decode(errors="ignore")
    return name.strip(". ") or "_"  # a photo beside the folders would not be counted


def _bytes_below(folder: Path) -> int:
    """Bytes of the files in the sub-folders of a folder, 0 where there is none."""
    try:
        with os.scandir(folder) as below:
            folders = [entry.path for entry in below if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return 0
    found = 0
    for inner in folders:
        with os.scandir(inner) as files:
            found += sum(entry.stat(follow_symlinks=False).st_size for entry in files)
    return found
