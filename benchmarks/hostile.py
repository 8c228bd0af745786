"""Photos that would cost a service much: floods of parts, refused before decoding, and little that becomes large."""

import struct
import zlib
from collections.abc import Callable

from PIL import Image

from benchmarks.drawn import chunk, encoded, gray_tiff, png, scene, segments, tiff


def bmp_of_runs(runs: bytes, side: int = 3000) -> bytes:
    """A square BMP in run lengths."""
    start = struct.pack("<2sIHHI", b"BM", 1078 + len(runs), 0, 0, 1078)
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return start + head + bytes(1024) + runs


def gif_with(before: bytes) -> bytes:
    """A GIF with something before its picture."""
    gif = encoded(Image.new("P", (64, 64)), "GIF")
    picture = gif.index(b"\x2c", 13 + (3 << (gif[10] & 7) + 1 if gif[10] & 0x80 else 0))
    return gif[:picture] + before + gif[picture:]


FLOODS: dict[str, Callable[[], bytes]] = {
    "scans": lambda: (
        b"".join([*segments(encoded(scene(), "JPEG", progressive=True))[:-1]])
        + segments(encoded(scene(), "JPEG", progressive=True))[-2] * 500
        + b"\xff\xd9"
    ),
    "fill bytes": lambda: encoded(scene(), "JPEG")[:2] + b"\xff" * 5_000_000 + encoded(scene(), "JPEG")[2:],
    "comments": lambda: encoded(scene(), "JPEG")[:2] + b"\xff\xfe\0\2" * 1_000_000 + encoded(scene(), "JPEG")[2:],
    "bare markers": lambda: encoded(scene(), "JPEG")[:2] + b"\xff\x01" * 1_000_000 + encoded(scene(), "JPEG")[2:],
    "chunks": lambda: png(64, 64, before=chunk(b"teSt") * 500_000),
    "text chunks": lambda: png(64, 64, before=chunk(b"tEXt", b"k\0v") * 500_000),
    "runs": lambda: bmp_of_runs(b"\1\5" * 2_000_000),
    "comments of a GIF": lambda: gif_with(b"\x21\xfe\1a\0" * 1_000_000),
    "zeros of a GIF": lambda: gif_with(bytes(5_000_000)),
    "tags": lambda: tiff({**gray_tiff(64, 64), **dict.fromkeys(range(400, 2400), (3, 1, 0))}, bytes(4096)),
    "values": lambda: tiff({**gray_tiff(64, 64), 700: (3, 4_000_000_000, 0)}, bytes(4096)),
    "strips": lambda: tiff({**gray_tiff(64, 64), 273: (4, 100_000, 1000), 279: (4, 100_000, 1000)}, bytes(400_000)),
    "tiles": lambda: tiff(
        {**gray_tiff(64, 64), 322: (4, 1, 46_336), 323: (4, 1, 46_336), 324: (4, 1, 1000)}, zlib.compress(bytes(1000))
    ),
    "fractions": lambda: tiff({**gray_tiff(64, 64), 282: (5, 400_000, 5096)}, bytes(4_000_000)),
    "rows": lambda: tiff(gray_tiff(1, 30_000_000), bytes(30_000_000)),
}
"""By what they flood; each is refused as too large."""

HEAVY: dict[str, Callable[[], bytes]] = {
    "black": lambda: png(8000, 6000),
    "deep": lambda: png(8000, 6000, depth=16, colour=0),
    "transparent": lambda: png(7000, 5000, colour=6),
    "palette": lambda: encoded(Image.new("P", (7000, 7000)), "GIF"),
    "panorama": lambda: encoded(Image.new("RGB", (60_000, 3000)), "JPEG", quality=20),
    "progressive": lambda: encoded(Image.new("RGB", (7000, 7000)), "JPEG", progressive=True),
}
"""A few kilobytes that become many megabytes: accepted, and decoded by a helper."""
