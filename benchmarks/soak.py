"""Ten thousand requests at twice what the service can take: who is answered, who is refused, what memory does.

    python -m benchmarks.soak --bundle models/everyday --photos FOLDER

Clients come at a fixed rate, whether earlier ones have been answered or not (an open load, as the world is). Exits with
1 unless every request got an answer or a 503 with Retry-After, and the service is as quick afterwards as before.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from benchmarks.fuzz import resident_mb
from benchmarks.load import drive, form_request
from benchmarks.serving import ROOT, sides


async def flood(url: str, photos: list[bytes], requests: int, per_second: float) -> tuple[Counter[str], list[float]]:
    """Send requests at a rate, each on a connection of its own; count outcomes, list the seconds refusals took."""
    outcomes: Counter[str] = Counter()
    refusals: list[float] = []
    target = urlsplit(url)
    bodies = [form_request(target.netloc, target.path, photo, "Connection: close") for photo in photos]

    async def one(number: int) -> None:
        started = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection(target.hostname, target.port)
            writer.write(bodies[number % len(bodies)])
            answer = await reader.read()
            writer.close()
        except OSError as error:
            outcomes[type(error).__name__] += 1
            return
        status = answer[9:12].decode() or "no answer"
        if status == "503" and b"\r\nretry-after: " in answer.lower():
            outcomes["refused with Retry-After"] += 1
            refusals.append(time.perf_counter() - started)
        else:
            outcomes["answered" if status == "200" else status] += 1

    async with asyncio.TaskGroup() as group:
        started = time.perf_counter()
        for number in range(requests):
            await asyncio.sleep(max(0.0, started + number / per_second - time.perf_counter()))
            group.create_task(one(number))
    return outcomes, sorted(refusals)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "everyday")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of small JPEGs, such as Intel scenes")
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    photos = [path.read_bytes() for path in sorted(options.photos.rglob("*.jpg"))[:100]]
    side = sides(options.bundle.resolve(), rivals=False)[0]
    side.environment = {}  # the settings that a user gets
    with side.running() as pid:
        before = uvloop.run(drive(side.url, photos, clients=16, seconds=4)).per_second
        memory = resident_mb(pid)
        outcomes, refusals = uvloop.run(flood(side.url, photos, options.requests, 2 * before))
        flooded = resident_mb(pid)
        after = uvloop.run(drive(side.url, photos, clients=16, seconds=4)).per_second
    print(f"Capacity {before:.0f} requests a second; {options.requests} requests at twice that rate:")
    for outcome, count in outcomes.most_common():
        print(f"  {outcome}: {count}")
    if refusals:
        print(f"  a refusal took {refusals[len(refusals) // 2] * 1000:.0f} ms (median)")
    print(f"Memory {memory:.0f} MB before, {flooded:.0f} MB after. Capacity afterwards: {after:.0f} a second.")
    honest = set(outcomes) <= {"answered", "refused with Retry-After"}
    return 0 if honest and after > before / 2 else 1


if __name__ == "__main__":
    sys.exit(main())
