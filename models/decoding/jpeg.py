"""JPEG: its header, and whether it has its end.

ITU-T T.81, annex B: segments of a marker, a length and a content, then scans of entropy-coded data, in which a byte
0xFF is followed by 0 or by a restart marker.
"""

from itertools import pairwise
from struct import unpack_from
from typing import NamedTuple

from foodscene.models.decoding.errors import BrokenPhoto, PhotoTooLarge
from foodscene.models.decoding.header import Header

END = b"\xff\xd9"
"""The marker EOI."""

_SCAN, _START = 0xDA, 0xD8
_FRAMES = {*range(0xC0, 0xD0)} - {
    0xC4,
    0xC8,
    0xCC,
}  # the markers SOF; the others are tables
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_ARITHMETIC = {*range(0xC9, 0xD0)}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a length and a content
# A photo has 5 to 40 segments; one that embeds megabytes of XMP or depth has hundreds.
_MOST_SEGMENTS, _MOST_JUNK, _FEW_SEGMENTS = 2000, 65_536, 64
_NEEDED = {0xE0, 0xE1, 0xE2, 0xEE}  # JFIF, Exif, ICC profile, Adobe's colour transform
_UNNEEDED = {b"http", b"MPF\0"}  # XMP; where the other pictures in the file are
_SLICE = 1 << 20


def inspect(photo: bytes) -> Header:
    """A JPEG's header. Raises as `inspection.inspect` does."""
    segments = _segments(photo)
    frame, scan = _frame(segments), segments[-1][1]
    marker = photo[frame + 1]
    height, width, components = unpack_from(">HHB", photo, frame + 5)
    if not height:
        raise BrokenPhoto("The image's height is not in its header. Save it again as a JPEG.")
    several = marker in _PROGRESSIVE or photo[scan + 4] < components
    scans = 1
    if several:
        scans = sum(photo.count(b"\xff\xda", start, start + _SLICE + 1) for start in range(scan, len(photo), _SLICE))
    # T.81, A.1.1: a component has its share of the samples of the one that is sampled most.
    factors = [photo[frame + 11 + 3 * number] for number in range(components)] if components > 1 else [0x11]
    if not all(factor >> 4 and factor & 15 for factor in factors):
        raise BrokenPhoto("The image is damaged: one of its colours has no samples.")
    across, down = max(factor >> 4 for factor in factors), max(factor & 15 for factor in factors)
    coefficients = sum((factor >> 4) * (factor & 15) for factor in factors) / (across * down)
    seconds = width * height * (5e-9 + (scans * 1.5e-9 if several else 0)) + len(photo) * 15e-9
    if marker in _ARITHMETIC:
        seconds = width * height * 60e-9 * (1 + scans / 10)
    if marker in _LOSSLESS:
        return Header("JPEG", width, height, seconds * 4, held=4 + 2 * components, stored=3)
    return Header(
        "JPEG",
        width,
        height,
        seconds,
        held=2 * coefficients if several else 0,
        scalable=True,
        scans=scans,
        lossy_whole=several,
    )


class Tidied(NamedTuple):
    """A JPEG that has its end, and is not of very many segments."""

    photo: bytes
    truncated: bool
    """Whether it came without its end."""
    arithmetic: bool
    """Whether it is coded arithmetically: its decoder has to be given all of it in one piece."""


def tidy(photo: bytes) -> Tidied:
    """Add the end where it is missing, so that what is there can be decoded, and leave out what floods the header.

    Bytes of zero where the end should be count as missing: a broken download leaves them.
    """
    segments = _segments(photo)
    arithmetic = photo[_frame(segments) + 1] in _ARITHMETIC
    truncated = photo.rfind(END, segments[-1][1]) < 0
    if truncated:
        photo = photo.rstrip(b"\0") + END
    if len(segments) > _FEW_SEGMENTS or sum(_is_exif(photo, segment) for segment in segments) > 1:
        photo = _without_metadata(photo, segments)
    return Tidied(photo, truncated, arithmetic)


def _without_metadata(photo: bytes, segments: list[tuple[int, int]]) -> bytes:
    """The photo without the segments that say nothing of its pixels.

    Of Exif the first segment stays, that has the orientation: Pillow joins them, and reads tags of any size.
    """
    kept = [b"\xff\xd8"]
    described = False
    for (marker, start), (_, following) in pairwise(segments):
        if _is_exif(photo, (marker, start)):
            if not described:
                kept.append(photo[start:following])
            described = True
        elif not 0xE0 <= marker <= 0xFE or (marker in _NEEDED and photo[start + 4 : start + 8] not in _UNNEEDED):
            kept.append(photo[start:following])
    kept.append(photo[segments[-1][1] :])
    return b"".join(kept)


def _is_exif(photo: bytes, segment: tuple[int, int]) -> bool:
    marker, start = segment
    return marker == 0xE1 and photo[start + 4 : start + 10] == b"Exif\0\0"


def _segments(photo: bytes) -> list[tuple[int, int]]:
    """Marker and place of each segment up to the first scan, the last one. Raises a `PhotoError` if there is none."""
    found: list[tuple[int, int]] = []
    place, junk = 2, 0
    while True:
        while photo[place] != 0xFF or photo[place + 1] in (
            0x00,
            0xFF,
        ):  # fill bytes, or what is no marker
            place += 1
            junk += 1
            if junk > _MOST_JUNK and photo[place] == 0xFF:
                raise PhotoTooLarge(f"The image has more than {_MOST_JUNK:,} fill bytes in its header. Save it again.")
            if junk > _MOST_JUNK:
                raise BrokenPhoto("The image is damaged: its header is followed by something else.")
        marker = photo[place + 1]
        if len(found) == _MOST_SEGMENTS:
            raise PhotoTooLarge(f"The image has more than {_MOST_SEGMENTS:,} segments of metadata. Save it again.")
        found.append((marker, place))
        if marker == _SCAN:
            return found
        place += 2 if marker in _BARE else 2 + int(unpack_from(">H", photo, place + 2)[0])


def _frame(segments: list[tuple[int, int]]) -> int:
    for marker, place in segments:
        if marker in _FRAMES:
            return place
    raise BrokenPhoto("The image is damaged: its size is missing.")
