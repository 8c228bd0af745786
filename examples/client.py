"""Asks a running service about photos, several at a time, and waits when it is full.

    python examples/client.py one.jpg two.jpg
    python examples/client.py --url http://127.0.0.1:8000 --model scenes-cnn photos/*.jpg

Needs httpx (`pip install httpx`), and nothing of foodscene: copy it into your own program.
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx


class Foodscene:
    """A service, by its address; `key` where it asks for one."""

    def __init__(self, url: str = "http://127.0.0.1:8000", key: str = "", model: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=60)
        self.fields = {"model": model} if model else {}

    def ask(self, photo: Path, tries: int = 5) -> dict:
        """The answer for a photo: `model`, `predictions` (most probable first), `sure`, `milliseconds`.

        Raises `ValueError` with the service's own words for a photo that it does not take.
        """
        for _ in range(tries):
            with photo.open("rb") as file:
                response = self.http.post("/api/v1/predict", files={"file": file}, data=self.fields)
            if response.status_code not in (429, 503):
                break
            time.sleep(float(response.headers.get("retry-after", 1)))  # full, or asked too fast
        if response.is_error:
            raise ValueError(f"{photo}: {response.json()['detail']}")
        return response.json()

    def ask_all(self, photos: list[Path], at_once: int = 8) -> Iterator[tuple[Path, dict | ValueError]]:
        """Each photo with its answer, or with what is wrong with it, in their order."""

        def one(photo: Path) -> dict | ValueError:
            try:
                return self.ask(photo)
            except ValueError as error:
                return error

        with ThreadPoolExecutor(at_once) as threads:
            yield from zip(photos, threads.map(one, photos), strict=True)


def main() -> None:
    """Print a line for each photo."""
    parser = argparse.ArgumentParser(description="Ask a running service about photos.")
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key", default="")
    parser.add_argument("--model", default="")
    given = parser.parse_args()
    for photo, answer in Foodscene(given.url, given.key, given.model).ask_all(given.photos):
        if isinstance(answer, ValueError):
            print(answer)
            continue
        first = answer["predictions"][0]
        perhaps = "" if answer["sure"] else "perhaps "
        print(f"{photo}: {perhaps}{first['label']} ({first['probability']:.0%})")


if __name__ == "__main__":
    main()
