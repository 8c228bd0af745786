"""Small photos beside an attack: how long they wait then, and whether memory comes back.

    python -m benchmarks.beside --photos FOLDER --uploads 5000

Four clients post small photos, first alone, then while two others send `benchmarks.fuzz`'s uploads, damaged and costly
ones by turns. Exits with 1 where the 99th percentile of small photos grows more than tenfold, one of them is not
answered, an upload is answered with 500, or the server's memory does not come back to within a tenth of what it was.
Each turn is told when it is over. Ended early, it ends the server and the attackers first, which tell what they did.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.fuzz import resident_mb
from benchmarks.load import drive
from benchmarks.serving import ROOT, sides

_WORSE, _MORE = 10, 1.1


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=Path, required=True, help="a folder of small JPEGs, such as Intel scenes")
    parser.add_argument("--uploads", type=int, default=5000, help="hostile uploads, half of each attacker")
    parser.add_argument("--warm-up", type=int, default=400, help="hostile uploads before anything is measured")
    parser.add_argument("--seconds", type=float, default=5, help="of each turn; alone twice as many")
    parser.add_argument("--seed", type=int, default=0, help="of one attacker; the other one takes the next")
    parser.add_argument("--runs", type=Path, help="a file of runs, as `benchmarks.fuzz` adds to it")
    options = parser.parse_args()
    # So that what was begun is ended. uvloop would swallow it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    photos = [path.read_bytes() for path in sorted(options.photos.rglob("*.jpg"))[:100]]
    side = sides(ROOT / "models" / "everyday", rivals=False)[0]
    side.environment = {}  # the settings that a user gets
    with side.running() as pid, ExitStack() as attack:
        root = side.url.removesuffix(side.path)
        # What decoders and allocators keep once they had a costly photo is no leak: it is there before measuring.
        with _attacker(root, options.photos, options.warm_up, options.seed + 1000) as warm_up:
            warm_up.wait()
        alone = asyncio.run(drive(side.url, photos, clients=4, seconds=2 * options.seconds))
        memory = resident_mb(pid)
        print(f"Small photos alone: 99th percentile {alone.p99:.0f} ms; {memory:.0f} MB.", flush=True)
        attackers = [
            attack.enter_context(_attacker(root, options.photos, options.uploads // 2, seed, options.runs))
            for seed in (options.seed, options.seed + 1)
        ]
        worst, refused, turns = 0.0, 0, 0
        while any(attacker.poll() is None for attacker in attackers):
            beside = asyncio.run(drive(side.url, photos, clients=4, seconds=options.seconds))
            worst, turns = max(worst, beside.p99), turns + 1
            refused += sum(count for status, count in beside.statuses.items() if status != 200)
            print(f"Turn {turns}: {beside.p99:.0f} ms; {beside.statuses}; {resident_mb(pid):.0f} MB.", flush=True)
        failed = [attacker.returncode for attacker in attackers if attacker.returncode]
        time.sleep(options.seconds)
        after = resident_mb(pid)
    print(
        f"Small photos, 99th percentile: {alone.p99:.0f} ms alone, {worst:.0f} ms in the worst of {turns} turns beside "
    )
    print(f"{options.uploads} hostile uploads; {refused} small photos were not answered with labels.")
    print(f"Memory: {memory:.0f} MB before, {after:.0f} MB after.")
    return int(bool(failed) or refused > 0 or worst > _WORSE * alone.p99 or after > _MORE * memory)


@contextmanager
def _attacker(
    root: str, photos: Path, uploads: int, seed: int, runs: Path | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that attacks, until the block ends."""
    command = [sys.executable, "-m", "benchmarks.fuzz", root, "--uploads", str(uploads), "--photos", str(photos)]
    command += ["--seed", str(seed), "--costly", "20", "--no-costs"]
    process = subprocess.Popen([*command, "--runs", str(runs.resolve())] if runs else command, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()  # nothing to one that has ended
        process.wait(70)


if __name__ == "__main__":
    sys.exit(main())
