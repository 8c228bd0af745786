"""Posts damaged, lying and costly photos to a running service, and tells what came back.

    python -m benchmarks.fuzz http://127.0.0.1:8000 --uploads 5000 --photos FOLDER
    python -m benchmarks.fuzz http://127.0.0.1:8000 --folder Pillow/Tests/images --no-costs
    python -m benchmarks.fuzz http://127.0.0.1:8000 --uploads 25000 --seed 3 --runs fuzz-runs.jsonl --no-costs

The second one posts every file of a folder as it is; `benchmarks.costs --folder` tells what each of them costs.
Every answer must be a label, a problem below 500, or 503 with a full queue; the service must live, and its memory stay
flat. Exits with 1 where that does not hold, and leaves the upload that did it as `fuzz-failure.bin`. The same seed
makes the same uploads. With `--runs` a run adds its line to a file, and says what all runs in it come to. Ended early,
by SIGTERM or Ctrl-C, it tells what came back until then.
At last it prints what the worst photos cost that are accepted, as `benchmarks.costs` does: some minutes.
"""

import argparse
import http.client
import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import pillow_heif
from PIL import Image

from benchmarks.costs import print_worst
from benchmarks.hostile import FLOODS, HEAVY

pillow_heif.register_heif_opener()
Image.init()

_MODES = ("RGB", "L", "RGBA", "LA", "P", "1", "CMYK", "I;16", "I", "F", "YCbCr", "HSV", "LAB")
_ROUTES = {"/models/{name}": 100, "/api/v1/predict": 100, "/preview": 100, "/api/v1/explain": 1}
"""Where photos are sent, and how often: an explanation runs the network a hundred times, whatever the photo is."""
_PATIENCE = 300.0
"""Seconds in which an answer has to come."""
_REST = 2.0
"""Seconds after the last answer before the server's memory is looked at once more."""


def originals(photos: Sequence[bytes]) -> list[bytes]:
    """Each photo in every format and mode that Pillow writes, as animations, and with every orientation."""
    found = list(photos)
    for photo in photos[:2]:
        with Image.open(BytesIO(photo)) as opened:
            small = opened.convert("RGB").resize((48, 40))
        for mode in _MODES:
            image = small.convert("L").convert(mode) if mode in ("I;16", "I", "F") else small.convert(mode)
            for form in sorted(Image.SAVE):
                found += _saved(image, form)
        for form in ("GIF", "WEBP", "TIFF", "PNG"):
            found += _saved(small, form, save_all=True, append_images=[small.rotate(90), small.rotate(180)])
        for orientation in range(10):
            exif = small.getexif()
            exif[0x0112] = orientation
            found += _saved(small, "JPEG", exif=exif, progressive=bool(orientation % 2))
    return found


def _saved(image: Image.Image, form: str, **options: object) -> list[bytes]:
    target = BytesIO()
    try:
        image.save(target, form, **options)
    except Exception:  # noqa: BLE001 - not every format takes every mode
        return []
    return [target.getvalue()]


def mutations(originals: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Damaged copies, for ever: cut, spliced, flipped, overwritten, grown, with numbers in their heads changed."""
    chance = random.Random(seed)
    while True:
        photo = bytearray(chance.choice(originals))
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            _mutate(photo, originals, chance)
        yield bytes(photo)


def _mutate(photo: bytearray, originals: Sequence[bytes], chance: random.Random) -> None:
    size = len(photo)
    where = chance.randrange(size + 1)
    head = chance.randrange(min(size, 256) + 1)
    match chance.randrange(8):
        case 0:
            del photo[where:]
        case 1:  # the beginning of one photo, the end of another
            other = chance.choice(originals)
            photo[where:] = other[chance.randrange(len(other)) :]
        case 2:
            for _ in range(chance.choice((1, 8, 64))):
                if photo:
                    photo[chance.randrange(len(photo))] ^= 1 << chance.randrange(8)
        case 3:  # sizes, counts and offsets lie in the head, in either byte order
            length = chance.choice((2, 4, 8))
            number = chance.choice((0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, chance.getrandbits(32)))
            order = chance.choice(("little", "big"))
            photo[head : head + length] = (number % (1 << 8 * length)).to_bytes(length, order)  # type: ignore[arg-type]
        case 4:
            photo[where:where] = chance.randbytes(chance.choice((1, 16, 4096)))
        case 5:
            del photo[where : where + chance.choice((1, 4, 64))]
        case 6:  # one format's head on another's body
            other = chance.choice(originals)
            photo[:head] = other[:head]
        case _:
            photo[where : where + 512] = photo[head : head + 512] * chance.choice((1, 2, 9))


def forms(photo: bytes, chance: random.Random) -> tuple[bytes, dict[str, str]]:
    """A photo as a multipart form, most of the time a proper one: its body and its headers."""
    boundary = chance.choice((b"frontier", b"-", b"a" * 70))
    name = chance.choice((b"file", b"file", b"file", b"files", b"", b"model", b'"'))
    body = b"--" + boundary + b'\r\nContent-Disposition: form-data; name="' + name + b'"; filename="a"\r\n\r\n' + photo
    body += b"\r\n--" + boundary + b"--\r\n"
    if chance.random() < 0.1:
        cut = chance.randrange(len(body))
        body = body[:cut] + chance.randbytes(chance.choice((0, 3))) + body[cut + chance.choice((1, 8)) :]
    told = boundary if chance.random() < 0.95 else chance.choice((b"", b'"', b"other", b"x" * 300))
    return body, {"Content-Type": f"multipart/form-data; boundary={told.decode()}"}


def resident_mb(pid: int) -> float:
    """Memory of a process (Linux), in megabytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@cache
def _drawn(draw: Callable[[], bytes]) -> bytes:
    """A costly photo. Most take longer to draw than to answer."""
    return draw()


def with_costly(photos: Iterator[bytes], every: int, chance: random.Random) -> Iterator[bytes]:
    """The photos, one of so many replaced by one that would cost much; no two alike, by some bytes behind its end."""
    costly = [*FLOODS.values(), *HEAVY.values()]
    for number, photo in enumerate(photos):
        yield _drawn(chance.choice(costly)) + chance.randbytes(8) if number % every == every // 2 else photo


@dataclass
class Run:
    """What came of a run: answers by status (0: none came), and seconds that the slowest took.

    `memory` has the server's megabytes at the beginning, after each tenth of the uploads, and a little after the last.
    """

    seed: int
    uploads: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    memory: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.uploads} uploads: {dict(sorted(self.statuses.items()))}; the slowest took {self.slowest:.1f} s"


def add(path: Path, run: Run) -> Run:
    """Add a run to a file of runs, a line each; gives what all of them come to."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(vars(run)) + "\n")
    total = Run(seed=-1)
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        total.uploads += one["uploads"]
        total.statuses.update({int(status): count for status, count in one["statuses"].items()})
        total.slowest = max(total.slowest, one["slowest"])
    return total


def post(target: SplitResult, route: str, body: bytes, headers: dict[str, str]) -> int:
    """The status that a request is answered with, 0 where no answer comes."""
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=_PATIENCE)
    try:
        connection.request("POST", route, body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        print(f"{route}: {error!r}", file=sys.stderr)
        return 0
    finally:
        connection.close()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--uploads", type=int, default=5000)
    parser.add_argument("--photos", type=Path, help="a folder of real photos to damage")
    parser.add_argument("--folder", type=Path, help="post these files as they are, instead of damaged ones")
    parser.add_argument("--model", default="everyday")
    parser.add_argument("--costs", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--costly", type=int, default=100, help="one of so many uploads would cost much")
    parser.add_argument("--clients", type=int, default=1, help="so many uploads at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pid", type=int, help="the server's process, to see its memory")
    parser.add_argument("--runs", type=Path, help="a file of runs to add this one to")
    options = parser.parse_args()
    run, well = Run(options.seed), True
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        well = _post_all(options, run)
    except KeyboardInterrupt:
        print("Ended early.")
    finally:
        signal.signal(signal.SIGTERM, before)
    if options.pid and well:
        time.sleep(_REST)
        run.memory.append(round(resident_mb(options.pid)))
    print(f"Seed {options.seed}, {run}; memory in MB {run.memory}", flush=True)
    if options.runs:
        print(f"In all, {add(options.runs, run)}")
    if not well:
        return 1
    return 0 if not options.costs or print_worst() else 1


def _post_all(options: argparse.Namespace, run: Run) -> bool:
    """Post every photo and count the answers in `run`, until one gets 5xx or nothing; whether none does."""
    target = urlsplit(options.url)
    uploads, lock, stop = _uploads(options, run), threading.Lock(), threading.Event()
    failed: list[int] = []

    def client() -> None:
        while not stop.is_set():
            with lock:
                upload = next(uploads, None)
            if upload is None:
                return
            number, route, body, headers = upload
            started = time.perf_counter()
            status = post(target, route, body, headers)
            with lock:
                run.slowest = max(run.slowest, time.perf_counter() - started)
                run.uploads += 1
                run.statuses[status] += 1
            if status == 0 or (status >= 500 and status != 503):  # 503: the queue is full
                stop.set()
                failed.append(number)
                Path("fuzz-failure.bin").write_bytes(body)
                print(f"Upload {number} to {route} was answered with {status}: see fuzz-failure.bin", file=sys.stderr)

    with ThreadPoolExecutor(options.clients) as pool:
        try:
            for ended in [pool.submit(client) for _ in range(options.clients)]:
                ended.result()
        finally:
            stop.set()
    return not failed


def _uploads(options: argparse.Namespace, run: Run) -> Iterator[tuple[int, str, bytes, dict[str, str]]]:
    """Number, route, body and headers of each upload. Notes the server's memory in `run` at each tenth of them."""
    chance = random.Random(options.seed)
    if options.folder:
        paths = sorted(path for path in options.folder.rglob("*") if path.is_file())
        count, photos = len(paths), (path.read_bytes() for path in paths)
    else:
        paths = sorted(options.photos.rglob("*.jp*g"))[:50] if options.photos else []
        start = [path.read_bytes() for path in paths] or _saved(
            Image.effect_mandelbrot((90, 80), (-2, -1, 1, 1), 50), "JPEG"
        )
        count = options.uploads
        photos = with_costly(mutations(originals(start), options.seed), options.costly, chance)
    for number, photo in enumerate(islice(photos, count)):
        if options.pid and number % max(1, count // 10) == 0:
            run.memory.append(round(resident_mb(options.pid)))
        route = next(iter(_ROUTES)) if options.folder else chance.choices([*_ROUTES], [*_ROUTES.values()])[0]
        route = route.format(name=options.model)
        yield number, route, *((photo, {}) if route.startswith("/models") else forms(photo, chance))


if __name__ == "__main__":
    sys.exit(main())
