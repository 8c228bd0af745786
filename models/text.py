"""Figures, times and labels in words, as people read them; and what others wrote, made safe to print."""

import re
import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of what is not seen but does something: controls, formats, line and paragraph ends."""
_JOINERS = "\u200c\u200d"
"""They have no width, and Persian, Hindi and many emoji need them."""

_NARROW = 0.05
"""An interval that goes without saying: two or three hundredths either way."""


def percent(share: float) -> str:
    """A share from 0 to 1 in words, as the page's scripts write it."""
    if 0.995 <= share < 1:
        return ">99%"
    return "<1%" if share < 0.005 else f"{share:.0%}"


def estimate(share: float, interval: tuple[float, float] | None) -> str:
    """A measured share, 0 to 1, in words, with its 95 % interval where the photos were too few to leave it out.

    `about 85%, 70 to 94`; what was right of all of few photos is `57 to 100%`.
    """
    if interval is None or interval[1] - interval[0] < _NARROW:
        return percent(share)
    low, high = (f"{100 * end:.0f}" for end in interval)
    return f"{low} to {high}%" if share in (0, 1) else f"about {percent(share)}, {low} to {high}"


def spell(label: str) -> str:
    """A label as people write it."""
    return label.replace("_", " ")


def spelled(label: str) -> str:
    """A folder's name as people write a label: `Apple pie` for `apple_pie`."""
    words = spell(label)
    return words[:1].upper() + words[1:]


def with_article(label: str) -> str:
    """A label as a sentence has it: `a lion`, `an axolotl`, `sunglasses`."""
    if label.endswith("s") and not label.endswith(("ss", "us", "is")):
        return label
    vowel = re.match(r"(?!uni|eu|one)([aeiou]|hour)", label, re.IGNORECASE)
    return f"{'an' if vowel else 'a'} {label}"


def duration(seconds: float) -> str:
    """A time in words: `45 s`, `12 min`, `3 h 05`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02}"


def printable(text: str) -> str:
    """A text of others for a terminal or a log, on one line: escapes, line ends and the like as Python writes them.

    Whatever a file, an archive or a client says goes through here on its way to a terminal or a log, or stands in a
    `FoodsceneError`, which does it by itself.
    """
    return text if text.isprintable() else "".join(_shown(sign) for sign in text)


def printable_lines(text: str) -> str:
    """A text of ours with words of others in it: as `printable`, but its line feeds end lines."""
    return "\n".join(map(printable, text.split("\n")))


def _shown(sign: str) -> str:
    if unicodedata.category(sign) in _UNSEEN and sign not in _JOINERS:
        return ascii(sign)[1:-1]
    return sign
