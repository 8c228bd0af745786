"""What the names of photos look like, and those of files that nobody means."""

from pathlib import PurePosixPath

PHOTOS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"}
)
"""What the names of photos end with, in lower case."""


_LEFT_BEHIND = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "system volume information"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@__thumb", "lost+found", "lost.dir"),
    }
)
"""What Windows, macOS, network storage and cards for cameras keep beside photos, in lower case."""


def hidden(name: str) -> bool:
    """Whether a file was left by a system: in .DS_Store, __MACOSX/, Thumbs.db, @eaDir/ with its smaller copies."""
    return any(
        (part.startswith((".", "__MACOSX")) and part not in (".", "..")) or part.lower() in _LEFT_BEHIND
        for part in PurePosixPath(name).parts
    )
