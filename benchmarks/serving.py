"""How fast foodscene serves, beside the limit and beside other servers, in one run on this machine.

    python -m benchmarks.serving --bundle models/everyday --photos FOLDER [--rivals]

The limit is decode and engine on all cores without HTTP. Every side is driven by the same load generator, in a process
of its own on the same cores. They take turns, as what else the machine does changes, each turn with the limit measured
beside it; medians over the rounds count.
`--rivals` adds LitServe, BentoML (installed into an environment of their own, as their pins and ours need not agree)
and FastAPI with `model.predict`. Prints Markdown.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.needs import need
from foodscene.app.settings import usable_cores

ROOT = Path(__file__).parents[1]
RIVALS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "foodscene" / "rivals"
_SERVE = "import typer; from foodscene.app.commands import serve; typer.run(serve)"


@dataclass
class Side:
    """One server: how it is started, and where it takes photos."""

    name: str
    command: list[str]
    path: str
    port: int
    environment: dict[str, str]
    folder: Path = ROOT

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    @contextmanager
    def running(self) -> Iterator[int]:
        """The process's id, until the block ends."""
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                self._wait(process, log)
                yield process.pid
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGCONT)  # a stopped one would not end
                process.terminate()
                process.wait(60)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # some leave processes of their own behind

    def _wait(self, process: subprocess.Popen[bytes], log: Any) -> None:
        """Wait until it answers a photo."""
        body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n%b\r\n--x--\r\n'
        request = urllib.request.Request(
            self.url, body % _picture(64, "PNG"), {"Content-Type": "multipart/form-data; boundary=x"}
        )
        for _ in range(600):
            try:
                with urllib.request.urlopen(request, timeout=60):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if process.poll() is not None:
                    break
                time.sleep(0.1)
        log.seek(0)
        raise SystemExit(f"{self.name} did not start:\n{log.read().decode()[-3000:]}")


def sides(bundle: Path, rivals: bool) -> list[Side]:
    """The servers to compare."""
    python, cores = sys.executable, usable_cores()
    serve = [python, "-c", _SERVE, "--models", str(bundle.parent), "--port"]
    environment = {"FOODSCENE_QUEUE": "1024", "FOODSCENE_LOG_LEVEL": "info"}
    found = [
        Side("foodscene, 1 worker", [*serve, "18301"], "/api/v1/predict", 18301, environment),
        Side(
            f"foodscene, {cores} workers",
            [*serve, "18302", "--workers", str(cores)],
            "/api/v1/predict",
            18302,
            environment,
        ),
    ]
    if rivals:
        need("keras", "tensorflow")
        other = str(_rivals() / "bin" / "python")
        env = {"PYTHONPATH": str(ROOT), "BENCHMARK_BUNDLE": str(bundle), "BENTOML_DO_NOT_TRACK": "1"}
        run = ["-m", "benchmarks.servers."]
        found += [
            Side("LitServe", [other, run[0], run[1] + "litserve_server", str(bundle), "18303"], "/predict", 18303, env),
            Side(
                "BentoML",
                [other, "-m", "bentoml", "serve", "benchmarks.servers.bentoml_server:Front", "--port", "18304"],
                "/predict",
                18304,
                env,
            ),
            Side(
                "FastAPI, model.predict",
                [python, run[0], run[1] + "fastapi_server", str(bundle), "18305"],
                "/predict",
                18305,
                {"TF_CPP_MIN_LOG_LEVEL": "3"},
            ),
        ]
    return found


def earlier(checkout: Path, bundle: Path) -> Side:
    """The service of another checkout of foodscene, on one process: what a change cost."""
    command = [sys.executable, "-m", "foodscene", "serve", "--models", str(bundle.parent), "--port", "18306"]
    environment = {"FOODSCENE_QUEUE": "1024", "FOODSCENE_LOG_LEVEL": "info", "PYTHONPATH": str(checkout)}
    return Side("the other checkout, 1 worker", command, "/api/v1/predict", 18306, environment, checkout)


def _rivals() -> Path:
    """The environment with the other servers, made when it is not there."""
    if not (RIVALS / "ready").exists():
        print(f"Installing LitServe and BentoML into {RIVALS} ...", file=sys.stderr)
        venv.create(RIVALS, with_pip=True, clear=True)
        packages = "litserve bentoml onnxruntime pillow pillow-heif numpy pydantic pydantic-settings h5py".split()
        subprocess.run([RIVALS / "bin" / "python", "-m", "pip", "install", "-q", *packages], check=True)
        (RIVALS / "ready").touch()
    return RIVALS


def compare(
    bundle: Path, photos: Sequence[str], clients: int, seconds: float, rounds: int, compared: Sequence[Side]
) -> str:
    """A Markdown table: throughput, latencies, and the ratio to the limit."""
    limits: list[dict[str, float]] = []
    found: dict[str, list[tuple[dict[str, Any], float]]] = {side.name: [] for side in compared}
    drive = ["--clients", str(clients), "--seconds", str(seconds), *photos]
    with ExitStack() as all_of_them:
        groups = [all_of_them.enter_context(side.running()) for side in compared]
        for group in groups:
            os.killpg(group, signal.SIGSTOP)  # some look for work all the time
        for side, group in list(zip(compared, groups, strict=True)) * rounds:
            limits.append(_run("benchmarks.servers.limit", str(bundle), str(seconds), *photos))
            os.killpg(group, signal.SIGCONT)
            found[side.name].append((_run("benchmarks.load", side.url, *drive), limits[-1]["per_second"]))
            os.killpg(group, signal.SIGSTOP)
    limit = statistics.median(one["per_second"] for one in limits)
    alone = statistics.median(one["p50"] for one in limits)
    many = "1 client" if clients == 1 else f"{clients} clients"
    lines = [
        f"| {many} | photos/s | of the limit | p50 ms | p95 ms | p99 ms | other answers |",
        "|---|---|---|---|---|---|---|",
        f"| the limit: decode + engine, no HTTP | {limit:.0f} | 1.00 | {alone:.1f} (one photo alone) | | | |",
    ]
    for name, turns in found.items():
        rate, p50, p95, p99 = (
            statistics.median(load[key] for load, _ in turns) for key in ("per_second", "p50", "p95", "p99")
        )
        ratio = statistics.median(load["per_second"] / top for load, top in turns)
        others = sum(count for load, _ in turns for status, count in load["statuses"].items() if status != "200")
        lines.append(f"| {name} | {rate:.0f} | {ratio:.2f} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {others} |")
    return "\n".join(lines)


def start_up(side: Side) -> str:
    """How long a server takes from its start to its first answer, and the memory it then holds, with its children."""
    started = time.perf_counter()
    with side.running() as pid:
        took = time.perf_counter() - started
        status = Path(f"/proc/{pid}/status").read_text()
    memory = next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmRSS"))
    return f"{side.name}: start to first answer {took:.2f} s, {memory:.0f} MB"


def _run(module: str, *arguments: str) -> dict[str, Any]:
    result = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _picture(side: int, form: str) -> bytes:
    target = BytesIO()
    Image.effect_mandelbrot((side * 4 // 3, side), (-2, -1, 1, 1), 60).convert("RGB").save(target, form)
    return target.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "everyday")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of small JPEGs, such as Intel scenes")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rivals", action="store_true", help="also LitServe, BentoML and FastAPI with model.predict")
    parser.add_argument("--against", type=Path, help="also the service of this checkout of foodscene")
    options = parser.parse_args()
    bundle = options.bundle.resolve()
    small = [str(path.resolve()) for path in sorted(options.photos.rglob("*.jpg"))[:2000:20]]
    compared = sides(bundle, options.rivals)
    if options.against:
        compared[1:] = [earlier(options.against.resolve(), bundle)]
    print(f"{bundle.name}, {usable_cores()} cores, {options.rounds} rounds of {options.seconds:g} s.\n")
    print(f"{start_up(compared[0])}.\n")
    for clients in (32, 1):
        print(compare(bundle, small, clients, options.seconds, options.rounds, compared), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        large = []
        for number, path in enumerate(small[:4]):  # real photos at a phone's 12 megapixels
            large.append(str(Path(folder) / f"{number}.jpg"))
            Image.open(path).resize((4000, 3000), Image.Resampling.BICUBIC).save(large[-1], quality=85)
        print("Photos of 12 megapixels:\n")
        print(compare(bundle, large, 32, options.seconds, options.rounds, compared[:1]))


if __name__ == "__main__":
    main()
