"""How fast many photos become a table, beside the limit, in how much memory, and whether kills lose one.

    python -m benchmarks.bulk --photos FOLDER [--count 100000] [--kills 5]

The limit is decode and engine on all cores, measured before and after. Two tables are made of the same photos, the
folder's repeated under other names: one in peace, whose speed and memory count, and one whose command is killed at
random moments and given again. Prints Markdown; exits with 1 where the tables differ or a photo is not in them once.
"""

import argparse
import csv
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving import ROOT, _run
from foodscene.app.settings import usable_cores

_LOOK = 0.5
"""Seconds between two looks at a process's memory."""


class Passage(NamedTuple):
    """A command that came to its end: its seconds, and the megabytes that it held from its first part on."""

    seconds: float
    megabytes: list[float]


def start(bundle: Path, photos: Path, table: Path) -> subprocess.Popen[bytes]:
    """The command that makes a table."""
    command = [sys.executable, "-m", "foodscene", "predict", str(photos), "--model", str(bundle), "--out", str(table)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def in_peace(bundle: Path, photos: Path, table: Path) -> Passage:
    """Make a table at one go. Raises `SystemExit` where that fails."""
    began = time.perf_counter()
    process = start(bundle, photos, table)
    held: list[float] = []
    while process.poll() is None:
        if parts(table):
            held.append(_megabytes(process.pid))
        time.sleep(_LOOK)
    if process.returncode:
        raise SystemExit(f"foodscene predict ended with {process.returncode}")
    return Passage(time.perf_counter() - began, held)


def killed(bundle: Path, photos: Path, table: Path, times: int, seconds: float) -> int:
    """Make a table, killed so many times, each up to `seconds` after it has kept a part more; how often it was."""
    done = 0
    while True:
        before = len(parts(table))
        process = start(bundle, photos, table)
        while process.poll() is None and done < times and len(parts(table)) <= before:
            time.sleep(0.02)
        if done < times and process.poll() is None:
            time.sleep(random.uniform(0, seconds))
            process.kill()
        if process.wait() != -9:
            return done
        done += 1


def parts(table: Path) -> list[Path]:
    """The parts of a table that is not whole yet."""
    return list(table.with_name(f"{table.name}.parts").glob("rows-*"))


def once(table: Path, count: int) -> bool:
    """Whether a table has so many photos, each in one row, with its label."""
    seen: set[str] = set()
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["path"] in seen or not row["label"]:
                return False
            seen.add(row["path"])
    return len(seen) == count


def repeat(photos: Sequence[Path], folder: Path, count: int) -> Path:
    """A folder with so many photos: links to these."""
    for number in range(count):
        photo = photos[number % len(photos)]
        (folder / f"{number // 1000:04}").mkdir(parents=True, exist_ok=True)
        (folder / f"{number // 1000:04}" / f"{number:07}{photo.suffix}").symlink_to(photo)
    return folder


def _megabytes(process: int) -> float:
    try:
        status = Path(f"/proc/{process}/statm").read_text()
    except OSError:
        return 0.0
    return int(status.split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "everyday")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of JPEGs, at any depth")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="for measuring the limit, each time")
    given = parser.parse_args()
    found = sorted(path.resolve() for path in given.photos.rglob("*.jpg"))
    if not found:
        parser.error(f"{given.photos} holds no .jpg")
    some = [str(path) for path in found[:200]]

    def limit() -> float:
        return float(_run("benchmarks.servers.limit", str(given.bundle), str(given.seconds), *some)["per_second"])

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        photos = repeat(found, here / "photos", given.count)
        before = limit()
        passage = in_peace(given.bundle, photos, here / "peace.csv")
        most = statistics.mean((before, limit()))
        kills = killed(given.bundle, photos, here / "killed.csv", given.kills, passage.seconds / (given.kills + 1))
        same = (here / "peace.csv").read_bytes() == (here / "killed.csv").read_bytes()
        whole = once(here / "peace.csv", given.count)
    rate = given.count / passage.seconds
    tenth = passage.megabytes[len(passage.megabytes) // 10 :] or [0.0]
    print(
        f"| {given.count:,} photos on {usable_cores()} cores | |\n|---|---|\n"
        f"| the limit: decode + engine, photos/s | {most:.0f} |\n"
        f"| foodscene predict --out, from start to end, photos/s | {rate:.0f} |\n"
        f"| of the limit | {rate / most:.2f} |\n"
        f"| memory after a tenth of the time, and the most after it, MB | {tenth[0]:.0f}, {max(tenth):.0f} |\n"
        f"| killed {kills} times: the same table, byte for byte | {same} |\n"
        f"| every photo once, with a label | {whole} |"
    )
    return 0 if same and whole and kills == given.kills else 1


if __name__ == "__main__":
    sys.exit(main())
