"""Files of labels as people have them: a label a line, maybe with its number, or JSON of names and indices."""

import codecs
import json
import re

from foodscene.models.errors import FoodsceneError

_NUMBERED = re.compile(r"(\d+)\s+(.*\S)")


class LabelsError(FoodsceneError, ValueError):
    """A file that holds no labels. Its text says why."""


def parse(content: bytes) -> tuple[str, ...]:
    """A label per line, in output order; empty lines and blanks around a label do not count.

    The text is UTF-8, or UTF-16 that begins as Windows marks it. Raises `UnicodeDecodeError`; `LabelsError` for what is
    UTF-16 without saying so, or no text.
    """
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if marked else "utf-8-sig")
    if "\0" in text:
        raise LabelsError("it is no text of labels: save it as UTF-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def without_numbers(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Labels without their numbers where all have one, ``0 Lake``, ``1 Forest`` …, as Teachable Machine writes them."""
    parts = [_NUMBERED.fullmatch(label) for label in labels]
    names = tuple(part[2] for number, part in enumerate(parts) if part and int(part[1]) == number)
    return names if len(names) == len(labels) > 1 else labels


def parse_indices(content: bytes) -> tuple[str, ...]:
    """``class_indices.json``: ``{"lake": 0, "forest": 1}``, or ``{"0": "lake", "1": "forest"}``.

    Raises `LabelsError` where it is neither, or numbers are missing.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise LabelsError(f"it is not JSON: {error}") from error
    if not isinstance(found, dict) or not found:
        raise LabelsError("it is no object of labels and their indices")
    pairs = list(found.items())
    if all(isinstance(value, str) and key.isdecimal() for key, value in pairs):
        pairs = [(value, int(key)) for key, value in pairs]
    if any(type(index) is not int for _, index in pairs):
        raise LabelsError("it is no object of labels and their indices")
    names = {index: name.strip() for name, index in pairs}
    if sorted(names) != list(range(len(pairs))):
        raise LabelsError(f"its indices are not 0 to {len(pairs) - 1}, each once")
    return tuple(names[index] for index in range(len(pairs)))
