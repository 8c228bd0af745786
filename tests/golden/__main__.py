"""Writes the expected values anew: `python -m tests.golden`. For when answers are meant to change; look at the diff."""

import tempfile
from pathlib import Path

from tests.golden import answers, expected, photos


def main() -> None:
    """Ask for every answer and keep it."""
    drawn = photos.draw()
    with tempfile.TemporaryDirectory() as folder:
        parts = {"service": answers.of_the_service, "command": answers.of_the_command}
        made = {part: ask(drawn, Path(folder)) for part, ask in parts.items()}
        expected.write({**made, "training": answers.of_a_training(Path(folder))})
    print(f"{expected.FILE}: {expected.FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
