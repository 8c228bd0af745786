"""Small photos beside an attack: how long they wait then, and whether memory comes back.

    python -m benchmarks.beside --photos FOLDER --uploads 5000

Four clients post small photos, first alone, then while two others send `benchmarks.fuzz`'s uploads, damaged and costly
ones by turns. Exits with 1 where the 99th percentile of small photos grows more than tenfold, one of them is not
answered, an upload is answered with 500, or the server's memory does not come back to within a tenth of what it was.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import uvloop

from benchmarks.fuzz import resident_mb
from benchmarks.load import drive
from benchmarks.serving import ROOT, sides

_WORSE, _MORE = 10, 1.1


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=Path, required=True, help="a folder of small JPEGs, such as Intel scenes")
    parser.add_argument("--uploads", type=int, default=5000, help="hostile uploads, half of each attacker")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    photos = [path.read_bytes() for path in sorted(options.photos.rglob("*.jpg"))[:100]]
    side = sides(ROOT / "models" / "everyday", rivals=False)[0]
    side.environment = {}  # the settings that a user gets
    with side.running() as pid:
        root = side.url.removesuffix(side.path)
        # What decoders and allocators keep once they had a costly photo is no leak: it is there before measuring.
        _attack(root, options.photos, 400, options.seed + 1000).wait()
        alone = uvloop.run(drive(side.url, photos, clients=4, seconds=10))
        memory = resident_mb(pid)
        attackers = [
            _attack(root, options.photos, options.uploads // 2, seed) for seed in (options.seed, options.seed + 1)
        ]
        worst, refused, turns = 0.0, 0, 0
        while any(attacker.poll() is None for attacker in attackers):
            beside = uvloop.run(drive(side.url, photos, clients=4, seconds=5))
            worst, turns = max(worst, beside.p99), turns + 1
            refused += sum(count for status, count in beside.statuses.items() if status != 200)
        failed = [attacker.returncode for attacker in attackers if attacker.returncode]
        time.sleep(5)
        after = resident_mb(pid)
    print(
        f"Small photos, 99th percentile: {alone.p99:.0f} ms alone, {worst:.0f} ms in the worst of {turns} turns beside "
    )
    print(f"{options.uploads} hostile uploads; {refused} small photos were not answered with labels.")
    print(f"Memory: {memory:.0f} MB before, {after:.0f} MB after.")
    return int(bool(failed) or refused > 0 or worst > _WORSE * alone.p99 or after > _MORE * memory)


def _attack(root: str, photos: Path, uploads: int, seed: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.fuzz", root, "--uploads", str(uploads), "--photos", str(photos)]
    return subprocess.Popen([*command, "--seed", str(seed), "--costly", "20", "--no-costs"], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
