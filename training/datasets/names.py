"""Names of classes, compared as people mean them: composed or decomposed, in capitals or not."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from unicodedata import normalize


def composed(name: str) -> str:
    """A name in Unicode's form NFC, without blanks around it: a Mac's archive has "crème" in two signs for "è"."""
    return normalize("NFC", name).strip()


def plain(name: str) -> str:
    """A name without what makes no difference between data sets: case, spaces, underscores, how accents are coded.

    Nor do signs that folders' names may not have: corrections of "T-shirt/top" lie in `T-shirt_top`.
    """
    words = re.sub(r"[^\w.()&'-]|_", " ", normalize("NFC", name).casefold())
    return " ".join(words.split()).strip(". ")


def matched(names: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Which of the `known` names each name means: the same one, else the only one that differs in case or blanks.

    Names that mean none, or several, are absent.
    """
    exact = set(known)
    loose: dict[str, list[str]] = {}
    for one in known:
        loose.setdefault(plain(one), []).append(one)
    found = {}
    for name in names:
        candidates = [name] if name in exact else loose.get(plain(name), [])
        if len(candidates) == 1:
            found[name] = candidates[0]
    return found


def unique(names: Mapping[int, str]) -> dict[int, str]:
    """Labels by the ids of what they name; where two would be one, each has its id: "omelet (40)"."""
    times = Counter(map(plain, names.values()))
    labels = {}
    for number, name in names.items():
        labels[number] = name
        while times[plain(label := labels[number])] > (label == name):  # or another is called "omelet (40)" by itself
            labels[number] = f"{label} ({number})"
    return labels


def listed(names: Iterable[str], most: int = 10) -> str:
    """Some names in a line."""
    every = list(names)
    return ", ".join(every[:most]) + (f" … and {len(every) - most:,} more" if len(every) > most else "")
