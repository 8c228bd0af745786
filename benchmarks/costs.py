"""What decoding costs at most: the worst photos that are accepted, of each format, and the files of a folder.

    python -m benchmarks.costs
    python -m benchmarks.costs --folder Pillow/Tests/images

Each photo is decoded alone, in a process of its own, to 224 x 224 pixels. Exits with 1 where one takes more than 3 s of
one core or 500 MB, or ends its process. Pillow's own test images are a folder to try: https://github.com/python-pillow/
Pillow holds some thousand, damaged ones among them.
"""

import argparse
import multiprocessing
import re
import resource
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile

from benchmarks.drawn import PNG, chunk, encoded, segments
from benchmarks.hostile import bmp_of_runs
from foodscene.models.decoding.limits import LIMITS
from foodscene.models.pixels import InputSpec, PhotoError, inspect, read_photo

MOST_SECONDS, MOST_MEGABYTES, MOST_UPLOAD = 3.0, 500.0, 32_000_000
_SPEC = InputSpec(224, 224)
ImageFile.MAXBLOCK = 1 << 24  # libjpeg writes restart markers into what room there is


class Cost(NamedTuple):
    """Seconds of one core, megabytes above those before, and what came of it."""

    seconds: float
    megabytes: float
    outcome: str

    @property
    def bearable(self) -> bool:
        """Whether it keeps to the limits, and has not ended its process."""
        return self.seconds <= MOST_SECONDS and self.megabytes <= MOST_MEGABYTES and "!" not in self.outcome


def cost(photo: bytes) -> Cost:
    """Decode a photo in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["foodscene.models.pixels"])
    here, there = context.Pipe()
    process = context.Process(target=_decode, args=(there,))
    process.start()
    there.close()
    here.send_bytes(photo)
    try:
        found = Cost(*here.recv())
    except EOFError:
        process.join()
        found = Cost(0, 0, f"ended with {process.exitcode}!")
    process.join()
    return found


def _decode(pipe: Connection) -> None:
    photo = pipe.recv_bytes()
    read_photo(encoded(Image.new("RGB", (8, 8)), "PNG"), _SPEC)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
    try:
        read_photo(photo, _SPEC)
        outcome = "read"
    except PhotoError as error:
        outcome = f"{type(error).__name__}: {error}"
    taken = time.process_time() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send((taken, (after.ru_maxrss - before.ru_maxrss) / 1024, outcome))


def worst() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The most expensive photos that are accepted, and how each is drawn: by size, by depth, by how it is coded."""
    yield "JPEG, baseline", lambda: _jpeg(LIMITS.jpeg)
    yield "JPEG, progressive 4:2:0", lambda: _jpeg(LIMITS.progressive, progressive=True)
    yield (
        "JPEG, progressive 4:4:4",
        lambda: _jpeg(LIMITS.progressive * 7 // 10, progressive=True, subsampling=0),
    )
    yield "JPEG, 100 scans", lambda: _scans(LIMITS.progressive * 15 // 100, 100)
    yield "JPEG, arithmetic", lambda: _arithmetic(LIMITS.plain)
    yield "PNG, RGB", lambda: _png(LIMITS.plain, 8, 2)
    yield "PNG, RGBA", lambda: _png(LIMITS.plain * 3 // 4, 8, 6)
    yield "PNG, RGBA of 16 bits", lambda: _png(LIMITS.plain * 3 // 8, 16, 6)
    yield "PNG, gray of 16 bits", lambda: _png(LIMITS.plain, 16, 0)
    yield "GIF", lambda: encoded(_noise(LIMITS.plain, "L", 12), "GIF")
    yield "BMP", lambda: encoded(_noise(10_600_000, "RGB", 255), "BMP")
    yield "BMP, run lengths", lambda: bmp_of_runs((b"\1\5" * 998 + b"\0\0") * 998, 998)
    yield "TIFF, LZW", lambda: encoded(_noise(LIMITS.plain, "RGB", 3), "TIFF", compression="tiff_lzw")
    yield "TIFF, JPEG", lambda: encoded(_noise(LIMITS.plain, "RGB", 30), "TIFF", compression="jpeg", quality=20)
    yield "TIFF, float", lambda: encoded(_floats(LIMITS.plain * 3 // 4), "TIFF", compression="tiff_deflate")
    yield "WebP", lambda: encoded(_noise(LIMITS.webp, "RGB", 60), "WEBP", quality=50, method=0)
    yield (
        "WebP, lossless",
        lambda: encoded(_noise(LIMITS.webp * 97 // 100, "RGBA", 4), "WEBP", lossless=True, quality=0, method=0),
    )
    yield "AVIF", lambda: encoded(_noise(LIMITS.heif, "RGB", 30), "AVIF", quality=50, speed=10)
    yield "HEIC", lambda: encoded(_smooth(LIMITS.heif), "HEIF", quality=35, enc_params={"preset": "ultrafast"})


def _sides(pixels: int) -> tuple[int, int]:
    """Width and height of so many pixels or a few less, four to three, the height a multiple of 128."""
    height = int((pixels * 3 / 4) ** 0.5) // 128 * 128
    return pixels // height // 16 * 16, height


def _noise(pixels: int, mode: str, levels: int) -> Image.Image:
    """Random levels: a block of 128 rows, repeated. The fewer, the better they compress."""
    width, height = _sides(pixels)
    bands = len(Image.new(mode, (1, 1)).getbands())
    block = np.random.default_rng(0).integers(0, levels, (128, width, bands), dtype=np.uint8) * (255 // levels)
    strip = Image.fromarray(block[..., 0] if bands == 1 else block, mode)
    image = Image.new(mode, (width, height))
    for top in range(0, height, 128):
        image.paste(strip, (0, top))
    return image


def _smooth(pixels: int) -> Image.Image:
    width, height = _sides(pixels)
    blobs = np.random.default_rng(0).integers(0, 256, (height // 24, width // 24, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)


def _floats(pixels: int) -> Image.Image:
    width, height = _sides(pixels)
    return Image.fromarray(np.random.default_rng(0).random((128, width), np.float32).repeat(height // 128, 0))


def _jpeg(pixels: int, **options: object) -> bytes:
    """A JPEG of as many bytes as an upload may have, its rows those of a strip of 128 rows, again and again."""
    width, height = _sides(pixels)
    blobs = np.random.default_rng(0).integers(0, 256, (64, width // 2, 3), dtype=np.uint8)
    strip = Image.fromarray(blobs).resize((width, 128), Image.Resampling.BICUBIC)
    for quality in range(90, 0, -5):
        coded = encoded(strip, "JPEG", restart_marker_rows=1, quality=quality, **options)
        if len(coded) * (height // 128) < MOST_UPLOAD:
            break
    parts = [_repeated(part, height // 128) for part in segments(coded)]
    return b"".join(_of_height(part, height) for part in parts)


def _repeated(part: bytes, times: int) -> bytes:
    """A scan with its rows so many times; each ends with a restart marker, whose numbers go from 0 to 7."""
    if part[:2] != b"\xff\xda":
        return part
    data = 2 + struct.unpack_from(">H", part, 2)[0]
    rows = re.split(rb"\xff[\xd0-\xd7]", part[data:]) * times
    marked = (row + bytes([0xFF, 0xD0 + number % 8]) for number, row in enumerate(rows[:-1]))
    return part[:data] + b"".join(marked) + rows[-1]


def _of_height(part: bytes, height: int) -> bytes:
    return part[:5] + struct.pack(">H", height) + part[7:] if part[:2] in (b"\xff\xc0", b"\xff\xc2") else part


def _scans(pixels: int, count: int) -> bytes:
    """A progressive JPEG that goes over its coefficients again and again, with nothing to add to them."""
    width, height = _sides(pixels)
    parts = segments(encoded(Image.new("RGB", (width, height)), "JPEG", progressive=True))
    scans = [part for part in parts if part[:2] == b"\xff\xda"]
    return b"".join(parts[:-1]) + scans[-1] * (count - len(scans)) + parts[-1]


def _arithmetic(pixels: int) -> bytes:
    """A gray JPEG of random bytes, which are some picture to an arithmetic decoder."""
    width, height = _sides(pixels)
    tables = next(part for part in segments(encoded(Image.new("L", (8, 8)), "JPEG")) if part[:2] == b"\xff\xdb")
    frame = b"\xff\xc9\0\x0b\x08" + struct.pack(">HH", height, width) + b"\1\1\x11\0"
    data = np.random.default_rng(0).integers(0, 255, MOST_UPLOAD - 1000, dtype=np.uint8).tobytes()
    return b"\xff\xd8" + tables + frame + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + data + b"\xff\xd9"


def _png(pixels: int, depth: int, colour: int) -> bytes:
    """A PNG of few levels, each row filtered by the slowest filter, Paeth's."""
    width, height = _sides(pixels)
    samples = {0: 1, 2: 3, 6: 4}[colour] * depth // 8
    noise = np.random.default_rng(0).integers(0, 3, (128, 1 + width * samples), dtype=np.uint8)
    noise[:, 0] = 4
    packing = zlib.compressobj(1)
    rows = b"".join([*(packing.compress(noise[row % 128]) for row in range(height)), packing.flush()])
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND")


def print_worst() -> bool:
    """Measure and print the worst accepted photo of each kind; whether each keeps to the limits."""
    print("| worst accepted | megapixels | MB | seconds of one core | MB of memory | |\n|---|---|---|---|---|---|")
    well = True
    for name, draw in worst():
        photo = draw()
        header, found = inspect(photo), cost(photo)
        well &= found.bearable and found.outcome == "read"
        size = f"{header.pixels / 1e6:.1f} | {len(photo) / 1e6:.1f}"
        print(f"| {name} | {size} | {found.seconds:.2f} | {found.megabytes:.0f} | {found.outcome} |", flush=True)
    return well


def print_folder(folder: Path) -> bool:
    """Measure every file below a folder, and print what came of them and the most expensive; whether all was well."""
    outcomes: Counter[str] = Counter()
    costs: list[tuple[Cost, Path]] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found = cost(path.read_bytes())
        outcomes[found.outcome.partition(":")[0]] += 1
        costs.append((found, path.relative_to(folder)))
        if not found.bearable:
            print(f"{path}: {found.seconds:.2f} s, {found.megabytes:.0f} MB, {found.outcome}")
    print(dict(outcomes))
    for name, key in (("seconds", 0), ("megabytes", 1)):
        found, path = max(costs, key=lambda one: one[0][key])
        print(f"most {name}: {found[key]:.2f}, {path} ({found.outcome})")
    return all(found.bearable for found, _ in costs)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, help="measure these files instead of the worst accepted photos")
    folder = parser.parse_args().folder
    return 0 if (print_folder(folder) if folder else print_worst()) else 1


if __name__ == "__main__":
    sys.exit(main())
