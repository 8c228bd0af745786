"""A short round of each benchmark, on drawn photos: `make bench`. It shows that they run; the figures say little.

Exits with 1 where one of them fails, after all of them had their turn.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from benchmarks.needs import need
from benchmarks.serving import ROOT, sides


def draw(folder: Path, count: int = 100) -> Path:
    """A folder of small JPEGs of two kinds that look like photos to a decoder."""
    for number in range(count):
        path = folder / str(number % 2) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        blobs = np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(blobs).resize((150, 150), Image.Resampling.BICUBIC).save(path, quality=88)
    return folder


def run(module: str, *arguments: str) -> bool:
    """Run a benchmark; whether it went well."""
    print(f"\n$ python -m benchmarks.{module} {' '.join(arguments)}", flush=True)
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *arguments], cwd=ROOT, check=False)
    took = time.perf_counter() - started
    print(
        f"({took:.0f} s)" if done.returncode == 0 else f"FAILED with {done.returncode} after {took:.0f} s", flush=True
    )
    return done.returncode == 0


def main() -> int:
    need("albumentations", "keras")
    with tempfile.TemporaryDirectory() as folder:
        photos = str(draw(Path(folder) / "photos"))
        well = {
            "augmentation": run("augmentation", "--sizes", "48", "--threads", "1", "--seconds", "0.1"),
            "whitening": run("whitening", "--data", photos, "--size", "16", "--rank", "8"),
            "compiled": run("compiled", "--only", "scenes-cnn", "--rounds", "1"),
            "cache": run("cache", "--photos", "200"),
            "training": run("training", "--photos", "20"),
            "scratch": run("scratch", "--rounds", "1", "--steps", "4"),
            "serving": run("serving", "--photos", photos, "--seconds", "1", "--rounds", "1", "--rivals"),
            "beside": run("beside", "--photos", photos, "--uploads", "200"),
            "bulk": run("bulk", "--photos", photos, "--count", "2000", "--kills", "1", "--seconds", "1"),
            "soak": run("soak", "--photos", photos, "--requests", "500"),
        }
        side = sides(ROOT / "models" / "everyday", rivals=False)[0]
        with side.running() as pid:
            address = f"http://{urlsplit(side.url).netloc}"
            well["fuzz"] = run("fuzz", address, "--uploads", "200", "--photos", photos, "--pid", str(pid), "--no-costs")
    failed = [name for name, went in well.items() if not went]
    print(f"\n{len(well) - len(failed)} of {len(well)} benchmarks ran{f'; failed: {failed}' if failed else ''}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
