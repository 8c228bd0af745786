"""What the names of photos look like, and those of files that nobody means."""

from pathlib import PurePosixPath

PHOTOS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"}
)
"""What the names of photos end with, in lower case."""


def hidden(name: str) -> bool:
    """Whether a file was left by the system that made the archive: .DS_Store, __MACOSX/, Thumbs.db."""
    parts = PurePosixPath(name).parts
    return any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in parts) or (
        bool(parts) and parts[-1].lower() in ("thumbs.db", "desktop.ini")
    )
