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

import httpx

from benchmarks.fuzz import resident_mb
from benchmarks.serving import ROOT, sides


async def flood(url: str, photos: list[bytes], requests: int, per_second: float) -> tuple[Counter[str], list[float]]:
    """Send requests at a rate; count the outcomes, and list the seconds that refusals took."""
    outcomes: Counter[str] = Counter()
    refusals: list[float] = []
    limits = httpx.Limits(max_connections=2000, max_keepalive_connections=500)

    async def one(client: httpx.AsyncClient, number: int) -> None:
        started = time.perf_counter()
        try:
            answer = await client.post(url, files={"file": photos[number % len(photos)]})
        except httpx.TransportError as error:
            outcomes[type(error).__name__] += 1
            return
        if answer.status_code == 503 and "retry-after" in answer.headers:
            outcomes["refused with Retry-After"] += 1
            refusals.append(time.perf_counter() - started)
        else:
            outcomes["answered" if answer.status_code == 200 else str(answer.status_code)] += 1

    async with httpx.AsyncClient(limits=limits, timeout=60) as client, asyncio.TaskGroup() as group:
        started = time.perf_counter()
        for number in range(requests):
            await asyncio.sleep(max(0.0, started + number / per_second - time.perf_counter()))
            group.create_task(one(client, number))
    return outcomes, sorted(refusals)


async def capacity(url: str, photos: list[bytes], seconds: float = 4) -> float:
    """Answers per second to sixteen clients that each wait for their answer."""
    answered = 0
    until = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal answered
        async with httpx.AsyncClient(timeout=60) as session:
            while time.perf_counter() < until:
                answer = await session.post(url, files={"file": photos[answered % len(photos)]})
                answered += answer.status_code == 200

    await asyncio.gather(*(client() for _ in range(16)))
    return answered / seconds


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
        before = asyncio.run(capacity(side.url, photos))
        memory = resident_mb(pid)
        outcomes, refusals = asyncio.run(flood(side.url, photos, options.requests, 2 * before))
        flooded = resident_mb(pid)
        after = asyncio.run(capacity(side.url, photos))
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
